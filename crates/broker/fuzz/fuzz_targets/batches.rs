//! See `streamlings_broker_fuzz::batches`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| streamlings_broker_fuzz::batches(data));
