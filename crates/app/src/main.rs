//! The program `shoalway`: reads the command line, does what it says, and answers with an exit code.

use clap::Parser;
use mimalloc::MiMalloc;
use shoalway::cli::{Cli, Exit, Outcome, Output, run};
use shoalway::config::Surroundings;
use shoalway::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.globals.json);
    let done = run(cli, &Surroundings::of_process()).and_then(|outcome| match outcome {
        Outcome::Done(exit) => Ok(exit),
        Outcome::Service(service) => serve(service, output),
    });
    let exit = done.unwrap_or_else(|error| {
        // Standard error is the last resort; when it fails too there is nobody left to tell.
        drop(output.complain(&format!("error: cannot write the answer: {error}\n")));
        Exit::Failed
    });
    exit.into()
}
