//! Feeds what libFuzzer makes up to the target `node_auth`, which is described in `src`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shoalway_fuzz::run("node_auth", data));
