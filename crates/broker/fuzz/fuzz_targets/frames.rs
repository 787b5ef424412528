//! See `streamlings_broker_fuzz::frames`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| streamlings_broker_fuzz::frames(data));
