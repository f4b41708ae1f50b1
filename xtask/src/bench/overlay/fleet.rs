//! Several programs as one peer: a shell starts them, so that one process tree holds them all, and ends them with itself.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::super::site::Site;

/// One program of a peer.
pub(super) struct Member {
    /// What its process is asked for by ([`pid`]).
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    /// Seconds until it starts, after the one before.
    pub(super) after: u32,
}

/// The command that starts all of `members` in the foreground.
///
/// # Errors
/// When its script cannot be written.
pub(super) fn command(site: &Site, members: &[Member]) -> Result<Command> {
    let mut script = "all=\ntrap 'kill $all 2>/dev/null; exit' TERM INT\n".to_owned();
    for Member { name, command, after } in members {
        let words: Vec<String> = command.iter().map(|word| format!("'{word}'")).collect();
        if *after > 0 {
            script.push_str(&format!("sleep {after}\n"));
        }
        script.push_str(&format!("{} &\necho $! >{name}.pid\nall=\"$all $!\"\n", words.join(" ")));
    }
    script.push_str("wait\n");
    let file = site.dir.join("fleet.sh");
    fs::write(&file, script)?;
    let mut command = Command::new("sh");
    command.arg(file).current_dir(&site.dir);
    Ok(command)
}

/// The process of one member of a started peer.
///
/// # Errors
/// When there is none of this name.
pub(super) fn pid(site: &Site, name: &str) -> Result<u32> {
    let text = fs::read_to_string(site.dir.join(format!("{name}.pid"))).context("its process")?;
    text.trim().parse().context("its process")
}
