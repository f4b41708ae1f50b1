//! `cargo xtask`: everything the project does to itself, in one tool that needs no install.
//!
//! Not here: anything the product does at run time. Each command is a file of its name.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks by printing")]

mod bench;
mod ci;
mod deps;
mod examples;
mod fuzz;
mod metadata;
mod steps;
mod testing;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  ci                      all of CI, quick steps first
  ci --bench              the same, then a short run beside other proxies
  lint                    rustfmt, clippy and rustdoc, each without warnings
  tidy                    file and function sizes, headers, names, links, claims
  deps                    edges between our crates, purity, licences, reasons, duplicates
  examples                what the documents tell people to type is accepted
  test [CRATE]            all tests, or those of one crate, with its doc tests
  e2e [SECONDS]           the overlay on hosts of their own, in use for so long (600)
  fuzz [TARGET SECONDS]   lists the fuzz targets, or runs one (nightly and cargo-fuzz)
  bench ...               side by side with other proxies; `cargo xtask bench` says more";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["ci"] => ci::run(),
        ["ci", "--bench"] => ci::run().and_then(|()| ci::bench_smoke()),
        ["lint"] => ci::lint(),
        ["tidy"] => tidy::run(),
        ["deps"] => deps::run(),
        ["examples"] => examples::check(),
        ["test"] => testing::run(None),
        ["test", name] => testing::run(Some(name)),
        ["e2e"] => testing::hosts("600"),
        ["e2e", seconds] => testing::hosts(seconds),
        ["fuzz"] => fuzz::list(),
        ["fuzz", target, seconds] => fuzz::run(target, seconds),
        ["bench", ..] => bench::run(args.get(1..).unwrap_or_default()),
        _ => {
            eprintln!("error: no such command: {}\n\n{USAGE}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
