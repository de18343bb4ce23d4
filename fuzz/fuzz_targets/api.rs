//! libFuzzer's way into `quittance_fuzz::api`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quittance_fuzz::api(data));
