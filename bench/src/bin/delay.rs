//! The relay that takes its time, as a program: `bench-delay --listen PORT --to ADDR --ms 10`.

use shoalway_bench::command_line::Flags;
use shoalway_bench::delay;

fn main() -> anyhow::Result<()> {
    delay::run(&Flags::read(std::env::args().skip(1))?)
}
