//! What may be set about certificates; complete, and impossible to be invalid.

use crate::config::Surroundings;
use shoalway_net::tls::Roots;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Where Let's Encrypt lets people rehearse: other limits, certificates that nobody trusts.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// How a keeper of certificates works.
#[derive(Clone)]
pub struct CertSettings {
    /// Directory of files, made with mode 0700 when it is missing.
    pub storage: PathBuf,
    /// First pause between two looks at an order; then twice as long each time. Default 250 ms.
    pub poll: Duration,
    /// Longest time an order may take. Default 3 minutes.
    pub patience: Duration,
}

/// Who certifies a name, and how it is proven. Names of [`super::Issuer::Local`] need nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Whom the authority may write to. Default: nobody.
    pub email: Option<String>,
    /// URL of the ACME directory, `https` alone (RFC 8555 section 6.1). Default: Let's Encrypt. Whoever names an authority
    /// agrees to its terms of service, which is said for them when the account is made.
    pub directory: String,
    /// Where an order can be rehearsed. Default: the staging directory of Let's Encrypt; none for another authority.
    pub staging: Option<String>,
    /// Whether the first order of each name is rehearsed there, so that mistakes cost nothing. Default: yes.
    pub rehearse: bool,
    /// Whom to believe as the ACME server itself. Default: whom the system believes.
    pub roots: Roots,
    /// How the name can be proven here, the best first: each attempt that failed is followed by one the next way.
    /// Default: not at all, since that depends on the listeners.
    pub challenges: Vec<ChallengeKind>,
}

/// How the authority checks that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// It fetches a text from port 80 (RFC 8555 section 8.3).
    Http01,
    /// It looks at a certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// Its name in the protocol.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// The port the authority connects to.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http01 => 80,
            Self::TlsAlpn01 => 443,
        }
    }
}

impl CertSettings {
    /// The defaults, with files in `storage`.
    #[must_use]
    pub fn new(storage: PathBuf) -> Self {
        Self { storage, poll: Duration::from_millis(250), patience: Duration::from_mins(3) }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            email: None,
            directory: LETS_ENCRYPT.to_owned(),
            staging: Some(LETS_ENCRYPT_STAGING.to_owned()),
            rehearse: true,
            roots: Roots::System,
            challenges: Vec::new(),
        }
    }
}

/// Where certificates are when nobody says: the state directory of the service manager, of the system, or of the user.
#[must_use]
pub fn default_storage(surroundings: &Surroundings) -> PathBuf {
    state_directory(surroundings).join("certs")
}

/// Where this program keeps what lasts: of the service, of the system for root, else of the user.
#[must_use]
pub fn state_directory(surroundings: &Surroundings) -> PathBuf {
    // systemd gives several directories with colons between them; the first is ours.
    let service = surroundings.filled("STATE_DIRECTORY").and_then(|dirs| dirs.split(':').next());
    if let Some(dir) = service {
        return PathBuf::from(dir);
    }
    if surroundings.user() == 0 {
        return PathBuf::from("/var/lib/shoalway");
    }
    let home = || Some(Path::new(surroundings.filled("HOME")?).join(".local/state"));
    let state = surroundings.filled("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    match state {
        Some(dir) => dir.join("shoalway"),
        None => PathBuf::from("/var/lib/shoalway"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_live_where_state_lives() {
        let none = Surroundings::default();
        for (surroundings, wanted) in [
            (none.clone().with_variable("STATE_DIRECTORY", "/var/lib/x:/y"), "/var/lib/x/certs"),
            (none.clone().with_variable("XDG_STATE_HOME", "/s"), "/s/shoalway/certs"),
            (none.clone().with_variable("HOME", "/home/u"), "/home/u/.local/state/shoalway/certs"),
            (none, "/var/lib/shoalway/certs"),
        ] {
            assert_eq!(default_storage(&surroundings), Path::new(wanted));
        }
    }
}
