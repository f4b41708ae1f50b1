//! Feeds what libFuzzer makes up to the target `socks5_client`, which is described in `src`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shoalway_fuzz::run("socks5_client", data));
