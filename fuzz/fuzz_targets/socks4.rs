//! Feeds what libFuzzer makes up to the target `socks4`, which is described in `src`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shoalway_fuzz::run("socks4", data));
