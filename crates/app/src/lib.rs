//! Shoalway's program: its configuration, its command line, and how the parts are put together.
//!
//! Only this crate knows the file format, the environment and the command line.

pub mod config;

pub mod cli;
