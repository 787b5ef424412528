//! Inputs such as fuzzers make (`fuzz/regression`), played through what is fuzzed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own, for the fuzzers")]
mod fuzz;

/// Panics of any thread, those of the cluster included.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn hostile_inputs_break_nothing() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regression");
    let mut played = 0;
    for (kind, play) in [
        ("frames", fuzz::frames as fn(&[u8])),
        ("batches", fuzz::batches),
        ("folders", fuzz::folders),
    ] {
        for file in std::fs::read_dir(format!("{folder}/{kind}")).unwrap() {
            let path = file.unwrap().path();
            play(&std::fs::read(&path).unwrap());
            assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{}", path.display());
            played += 1;
        }
    }
    assert!(played >= 1000, "{played} inputs: the corpus is not where it was");
}
