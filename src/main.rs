//! The `streamlings` binary.
fn main() -> std::process::ExitCode {
    streamlings::cli::main()
}
