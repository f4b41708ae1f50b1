//! The origin of a measurement, as a program: `bench-origin --http PORT --echo PORT --source PORT`.

use shoalway_bench::command_line::Flags;
use shoalway_bench::origin;

fn main() -> anyhow::Result<()> {
    origin::run(&Flags::read(std::env::args().skip(1))?)
}
