//! See `streamlings_broker::hostile`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| streamlings_broker::hostile::requests(data));
