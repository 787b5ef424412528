//! The course is compiled into the binary: a new file in it has to rebuild it.
fn main() {
    println!("cargo::rerun-if-changed=exercises");
    println!("cargo::rerun-if-changed=quizzes");
    // The loader of a position-independent program writes to 66,000 places before `main`: 2.5 ms of each command, and
    // twice that of `up`, which starts the lab's process. Libraries, stacks and the heap stay at random addresses.
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
