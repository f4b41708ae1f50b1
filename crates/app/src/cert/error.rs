//! Why there is no certificate, in words, each with a stable code and what to do about it.
//!
//! `docs/errors.md` explains the codes. Not here: how an authority's answers become these (`problem`).

use super::words;
use crate::cli::Exit;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Why a certificate could not be had, kept, or read. What was in use before stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}: {why}", path.display())]
    Storage {
        /// What was tried: `read`, `write`, `make`, `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What kind of error it is to the system.
        kind: io::ErrorKind,
        /// What the system says.
        why: String,
    },
    /// A stored file is not what it should be.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another process orders certificates just now.
    #[error("another process is ordering certificates in {}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The authority's server does not answer.
    #[error("the authority at {server} cannot be reached: {why}")]
    Unreachable {
        /// Its host, perhaps with a port.
        server: String,
        /// Why.
        why: String,
    },
    /// The authority refuses the account.
    #[error("the authority refuses the account: {why}")]
    Account {
        /// What it says.
        why: String,
    },
    /// The authority has had enough of us for now.
    #[error("the authority's rate limit is reached{}: {why}", until_words(*until))]
    RateLimited {
        /// When it may be asked again, if it said so.
        until: Option<SystemTime>,
        /// What it says.
        why: String,
    },
    /// The authority does not certify this name.
    #[error("the authority does not certify {name}: {why}")]
    NameRefused {
        /// The name.
        name: String,
        /// What it says.
        why: String,
    },
    /// The authority finds no address for the name, or a CAA record that forbids it.
    #[error("the authority has a problem with the DNS of {name}: {why}")]
    Dns {
        /// The name.
        name: String,
        /// What it says.
        why: String,
    },
    /// The authority does not reach us.
    #[error("the authority cannot connect to {name} on port {port}: {why}")]
    Connection {
        /// The name.
        name: String,
        /// The port.
        port: u16,
        /// What it says.
        why: String,
    },
    /// Somebody answers under the name, but not as we would.
    #[error("another answer than ours was found at {name} on port {port}: {why}")]
    Unauthorized {
        /// The name.
        name: String,
        /// The port.
        port: u16,
        /// What it says.
        why: String,
    },
    /// The authority answers something else, or nonsense.
    #[error("the authority's answer is of no use: {why}")]
    Server {
        /// What it says.
        why: String,
    },
    /// The name cannot be proven by any way that both sides know.
    #[error("{name} cannot be proven here: {why}")]
    NoChallenge {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// The order did not come to its end.
    #[error("the order was not done after {after:?}")]
    TooSlow {
        /// The time that was given.
        after: Duration,
    },
    /// What was issued cannot be used.
    #[error("the certificate that was issued for {name} cannot be used: {why}")]
    Unfit {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// Not a name that a certificate can be for.
    #[error("`{text}` is not a DNS name")]
    Name {
        /// What was written.
        text: String,
    },
    /// There is no staging directory.
    #[error("there is no staging directory to rehearse at")]
    NoRehearsal,
    /// No certificate is kept for this name.
    #[error("no certificate is kept for {name}")]
    Unknown {
        /// The name.
        name: String,
    },
}

impl CertError {
    /// Code of a rate limit.
    pub(super) const RATE_LIMITED: &str = "A006";

    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Storage { action, path: path.to_owned(), kind: error.kind(), why: error.to_string() }
    }

    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Storage { .. } => "A001",
            Self::Damaged { .. } => "A002",
            Self::Locked { .. } => "A003",
            Self::Unreachable { .. } => "A004",
            Self::Account { .. } => "A005",
            Self::RateLimited { .. } => Self::RATE_LIMITED,
            Self::NameRefused { .. } => "A007",
            Self::Dns { .. } => "A008",
            Self::Connection { .. } => "A009",
            Self::Unauthorized { .. } => "A010",
            Self::Server { .. } => "A011",
            Self::NoChallenge { .. } => "A012",
            Self::TooSlow { .. } => "A013",
            Self::Unfit { .. } => "A014",
            Self::Name { .. } => "A015",
            Self::Unknown { .. } => "A016",
            Self::NoRehearsal => "A017",
        }
    }

    /// What to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = match self {
            Self::Storage { .. } => "the directory must belong to the user the proxy runs as",
            Self::Damaged { .. } => "move the file away and it is made anew",
            Self::Locked { .. } => "nothing to do: what the other one orders is found here afterwards",
            Self::Unreachable { .. } => {
                "check DNS and outgoing connections to port 443; it is tried again by itself"
            }
            Self::Account { .. } => {
                "check the e-mail address and whether the authority wants an account made elsewhere"
            }
            Self::RateLimited { .. } => "nothing to do: it is tried again when the limit allows",
            Self::NameRefused { .. } => "take a name that is yours in public, or one below .internal",
            Self::Dns { .. } => {
                "give the name an A or AAAA record that leads here, and check its CAA records"
            }
            Self::Connection { port, .. } => {
                return format!("open port {port} in firewalls and routers, and forward it to this machine");
            }
            Self::Unauthorized { .. } => {
                "the name leads to another server, or something before this one answers: check its A and AAAA records"
            }
            Self::Server { .. } | Self::TooSlow { .. } => "it is tried again by itself",
            Self::NoChallenge { .. } => {
                "listen on port 80 (http-01) or with TLS on port 443 (tls-alpn-01); wildcards need files of your own"
            }
            Self::Unfit { .. } => "check the clock of this machine",
            Self::NoRehearsal => "name one beside the directory of the authority",
            Self::Name { .. } | Self::Unknown { .. } => "`shoalway cert list` shows the names",
        };
        text.to_owned()
    }

    /// How a command ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Storage { kind: io::ErrorKind::PermissionDenied, .. } => Exit::NotPermitted,
            Self::Locked { .. } | Self::RateLimited { .. } => Exit::TryLater,
            Self::Storage { .. }
            | Self::Damaged { .. }
            | Self::Unreachable { .. }
            | Self::Account { .. }
            | Self::NameRefused { .. }
            | Self::Dns { .. }
            | Self::Connection { .. }
            | Self::Unauthorized { .. }
            | Self::Server { .. }
            | Self::NoChallenge { .. }
            | Self::TooSlow { .. }
            | Self::Unfit { .. }
            | Self::Name { .. }
            | Self::NoRehearsal
            | Self::Unknown { .. } => Exit::Failed,
        }
    }

    /// Whether trying again soon is of no use: only a person can change it.
    pub(super) const fn is_lasting(&self) -> bool {
        match self {
            Self::Account { .. }
            | Self::NameRefused { .. }
            | Self::NoChallenge { .. }
            | Self::Name { .. }
            | Self::NoRehearsal
            | Self::Unknown { .. } => true,
            Self::Storage { .. }
            | Self::Damaged { .. }
            | Self::Locked { .. }
            | Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::Dns { .. }
            | Self::Connection { .. }
            | Self::Unauthorized { .. }
            | Self::Server { .. }
            | Self::TooSlow { .. }
            | Self::Unfit { .. } => false,
        }
    }

    /// When the authority allows the next attempt.
    pub(super) const fn not_before(&self) -> Option<SystemTime> {
        if let Self::RateLimited { until, .. } = self { *until } else { None }
    }
}

fn until_words(until: Option<SystemTime>) -> String {
    until.map(|until| format!(" until {}", words(until))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_explained() {
        let page = include_str!("../../../../docs/errors.md");
        let (path, name, why) = (PathBuf::from("x"), "a.example".to_owned(), "w".to_owned());
        let all = [
            CertError::Storage {
                action: "read",
                path: path.clone(),
                kind: io::ErrorKind::Other,
                why: why.clone(),
            },
            CertError::Damaged { path: path.clone(), why: why.clone() },
            CertError::Locked { path },
            CertError::Unreachable { server: name.clone(), why: why.clone() },
            CertError::Account { why: why.clone() },
            CertError::RateLimited { until: None, why: why.clone() },
            CertError::NameRefused { name: name.clone(), why: why.clone() },
            CertError::Dns { name: name.clone(), why: why.clone() },
            CertError::Connection { name: name.clone(), port: 80, why: why.clone() },
            CertError::Unauthorized { name: name.clone(), port: 80, why: why.clone() },
            CertError::Server { why: why.clone() },
            CertError::NoChallenge { name: name.clone(), why: why.clone() },
            CertError::TooSlow { after: Duration::from_secs(1) },
            CertError::Unfit { name: name.clone(), why },
            CertError::Name { text: name.clone() },
            CertError::Unknown { name },
            CertError::NoRehearsal,
        ];
        for error in &all {
            assert_eq!(page.matches(&format!("\n## {}: ", error.code())).count(), 1, "{}", error.code());
            assert!(!error.hint().is_empty());
        }
        assert_eq!(all.iter().map(CertError::code).collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn a_rate_limit_says_until_when() {
        let until = Some(super::super::moment(1_795_174_200));
        let error = CertError::RateLimited { until, why: "too many certificates".to_owned() };
        let text = "the authority's rate limit is reached until 2026-11-20T11:30:00Z: too many certificates";
        assert_eq!(error.to_string(), text);
    }
}
