//! The load generator, as a program: `bench-load --mode get --proxy ADDR --via connect ...`.
//!
//! Prints one line about what was done; the process fails only when it could not run at all.

use std::io::Write;

use shoalway_bench::command_line::Flags;
use shoalway_bench::load;

fn main() -> anyhow::Result<()> {
    let outcome = load::run(&Flags::read(std::env::args().skip(1))?)?;
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(())
}
