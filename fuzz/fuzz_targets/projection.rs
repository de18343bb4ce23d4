//! libFuzzer's way into `quittance_fuzz::projection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quittance_fuzz::projection(data));
