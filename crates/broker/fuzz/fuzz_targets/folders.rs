//! See `streamlings_broker_fuzz::folders`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| streamlings_broker_fuzz::folders(data));
