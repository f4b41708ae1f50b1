//! Files that a value names: users, lists, certificates, keys. Read once, with a problem at the value when not.

use super::Check;
use crate::config::at::At;
use crate::config::catalogue::Code;
use crate::config::report::Problem;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that was read.
pub(super) struct NamedFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it holds.
    pub(super) text: String,
}

impl Check<'_> {
    /// Reads the file a value names; `what` says what it is, such as "the file of users".
    pub(super) fn read(&mut self, at: &At<String>, what: &str) -> Option<NamedFile> {
        let path = self.path(at);
        match self.surroundings.read_text(&path) {
            Ok(text) => Some(NamedFile { path, text }),
            Err(error) => {
                let message = format!("cannot read {what}: {error}");
                let problem = Problem::new(Code::FileUnreadable, at.place(), message);
                self.add(problem.label(format!("looked for {}", path.display())));
                None
            }
        }
    }

    /// Reads a PEM file that must hold one of the given kinds of block.
    pub(super) fn read_pem(&mut self, at: &At<String>, what: &str, kinds: &[&str]) -> Option<NamedFile> {
        let file = self.read(at, what)?;
        let holds = |kind: &&str| file.text.contains(&format!("-----BEGIN {kind}-----"));
        if kinds.iter().any(holds) {
            return Some(file);
        }
        let problem =
            Problem::new(Code::Pem, at.place(), format!("{what} holds no {}", kinds.first().unwrap_or(&"")));
        let encrypted = file.text.contains("ENCRYPTED");
        self.add(problem.label(if encrypted { "it is encrypted" } else { "no such block in this file" }));
        None
    }

    /// Notes a private key that others than its owner can read.
    pub(super) fn key_is_private(&mut self, at: &At<String>, path: &Path) {
        if self.surroundings.is_given(path) {
            return;
        }
        let Ok(metadata) = std::fs::metadata(path) else { return };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!("others can read this private key: its mode is {mode:04o}");
            let problem = Problem::new(Code::KeyExposed, at.place(), message);
            self.add(problem.fix(format!("chmod 600 {}", path.display())));
        }
    }
}
