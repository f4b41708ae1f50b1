//! The program `shoalway`: reads the command line, does what it says, and answers with an exit code.

use clap::Parser;
use shoalway::cli::{Cli, Exit, Outcome, Output, run};
use shoalway::config::Surroundings;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.globals.json);
    let exit = match run(cli, &Surroundings::of_process()) {
        Ok(Outcome::Done(exit)) => exit,
        Ok(Outcome::Service(_)) => {
            // Standard error is the last resort; when it fails too there is nobody left to tell.
            drop(output.failure("this command needs the proxy, which is not part of this build", ""));
            Exit::Failed
        }
        Err(error) => {
            drop(output.complain(&format!("error: cannot write the answer: {error}\n")));
            Exit::Failed
        }
    };
    exit.into()
}
