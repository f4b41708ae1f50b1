//! Feeds what libFuzzer makes up to the target `create`, which is described in `src`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shoalway_fuzz::run("create", data));
