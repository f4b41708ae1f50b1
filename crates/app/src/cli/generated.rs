//! What is generated from the command line itself: completions, manual pages, and the version.

use super::{Cli, Exit, Output};
use clap::CommandFactory;
use std::io;
use std::path::Path;

/// Prints the completions.
pub(super) fn completions(shell: clap_complete::Shell, output: &Output) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shoalway", &mut script);
    output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Prints the manual page, or writes one for each command.
pub(super) fn man(dir: Option<&Path>, output: &Output) -> io::Result<Exit> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        output.text(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Ok);
    };
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    match written {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => {
            output.failure(&format!("cannot write to {}: {error}", dir.display()), "")?;
            Ok(Exit::Failed)
        }
    }
}

/// Prints the version.
pub(super) fn version(output: &Output) -> io::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    if output.is_json() {
        output.json(&serde_json::json!({ "name": "shoalway", "version": version }))?;
    } else {
        output.text(&format!("shoalway {version}\n"))?;
    }
    Ok(Exit::Ok)
}
