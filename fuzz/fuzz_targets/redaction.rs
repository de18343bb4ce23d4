//! libFuzzer's way into `quittance_fuzz::redaction`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quittance_fuzz::redaction(data));
