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

#[cfg(test)]
mod tests {
    use super::super::super::load::OriginPorts;
    use super::super::super::process_tree;
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn all_members_are_in_one_tree_under_their_names_and_end_with_it() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        let site = Site::prepare("fleet", &[], origin, &[]).expect("a directory");
        let member = |name| Member { name, command: vec!["sleep".to_owned(), "600".to_owned()], after: 0 };
        let mut command = command(&site, &["one", "two"].map(member)).expect("written");
        let mut shell = command.spawn().expect("sh");
        let until = Instant::now() + Duration::from_secs(10);
        while process_tree::pids(shell.id()).len() < 3 && Instant::now() < until {
            std::thread::yield_now();
        }
        let tree = process_tree::pids(shell.id());
        for name in ["one", "two"] {
            let pid = pid(&site, name).expect("its number");
            assert!(tree.contains(&i32::try_from(pid).expect("a number of a process")), "{name} {tree:?}");
        }
        process_tree::end(shell.id());
        shell.wait().expect("ended");
        assert!(!tree.iter().any(|pid| process_tree::is_running(*pid)), "{tree:?}");
    }
}
