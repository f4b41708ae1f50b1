//! Answers to a certificate authority that checks whether a name is ours: put here by who orders certificates, given
//! by who serves clients.
//!
//! HTTP-01 (RFC 8555 section 8.3) is a text under [`AcmeChallenges::PREFIX`] on port 80; TLS-ALPN-01 (RFC 8737) is a
//! certificate shown to a client that offers the protocol [`AcmeChallenges::ALPN`] and nothing else. There are few
//! answers and they stay for seconds; readers load a snapshot and take no lock. Not here: ordering, HTTP, handshakes.

use crate::tls::{TlsConfigError, certificates, private_key, provider};
use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The answers that hold now. Shared by all shards and by who orders certificates.
#[derive(Default)]
pub struct AcmeChallenges(ArcSwap<Answers>);

#[derive(Default, Clone)]
struct Answers {
    by_token: HashMap<String, Arc<str>>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl AcmeChallenges {
    /// What a path begins with that asks for an HTTP-01 answer.
    pub const PREFIX: &str = "/.well-known/acme-challenge/";
    /// The protocol of TLS-ALPN-01. A listener that may be asked has it among its own.
    pub const ALPN: &[u8] = b"acme-tls/1";

    /// Without any answer.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The body (`application/octet-stream`, status 200) for a request with this path, query excluded; to be asked
    /// before any route, redirect or log-in. None when it is no question of an authority that we expect.
    #[must_use]
    pub fn http_answer(&self, path: &str) -> Option<Arc<str>> {
        // All other requests end here, at the price of one comparison.
        let token = path.strip_prefix(Self::PREFIX)?;
        self.0.load().by_token.get(token).map(Arc::clone)
    }

    /// The certificate for an authority that asks for `name`, in any case.
    pub(crate) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.load().by_name.get(&name.to_ascii_lowercase()).map(Arc::clone)
    }

    /// Answers `token` with `key_authorization` from now on.
    pub fn put_token(&self, token: &str, key_authorization: &str) {
        self.change(|answers| {
            answers.by_token.insert(token.to_owned(), key_authorization.into());
        });
    }

    /// Shows `certificate` with its `key`, both PEM, to an authority that asks for `name` from now on.
    ///
    /// # Errors
    /// [`TlsConfigError`] says which part cannot be used. That they belong together is not checked: the certificate has a
    /// critical extension that nothing but an authority understands.
    pub fn put_certificate(&self, name: &str, certificate: &[u8], key: &[u8]) -> Result<(), TlsConfigError> {
        let key =
            provider().key_provider.load_private_key(private_key(key)?).map_err(TlsConfigError::Rejected)?;
        let shown = Arc::new(CertifiedKey::new(certificates(certificate)?, key));
        self.change(|answers| {
            answers.by_name.insert(name.to_ascii_lowercase(), Arc::clone(&shown));
        });
        Ok(())
    }

    /// Forgets what was put for `token`.
    pub fn remove_token(&self, token: &str) {
        self.change(|answers| drop(answers.by_token.remove(token)));
    }

    /// Forgets what was put for `name`.
    pub fn remove_certificate(&self, name: &str) {
        self.change(|answers| drop(answers.by_name.remove(&name.to_ascii_lowercase())));
    }

    fn change(&self, change: impl Fn(&mut Answers)) {
        self.0.rcu(|answers| {
            let mut answers = Answers::clone(answers);
            change(&mut answers);
            answers
        });
    }
}

impl fmt::Debug for AcmeChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcmeChallenges")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_token_at_the_exact_place_is_answered() {
        let challenges = AcmeChallenges::new();
        challenges.put_token("abc_-1", "abc_-1.thumb");
        for (path, wanted) in [
            ("/.well-known/acme-challenge/abc_-1", Some("abc_-1.thumb")),
            ("/.well-known/acme-challenge/abc_-1/", None),
            ("/.well-known/acme-challenge/abc", None),
            ("/.well-known/acme-challenge/", None),
            ("/.well-known/acme-challenge", None),
            ("/x/.well-known/acme-challenge/abc_-1", None),
            ("/", None),
        ] {
            assert_eq!(challenges.http_answer(path).as_deref(), wanted, "{path}");
        }
        challenges.remove_token("abc_-1");
        assert_eq!(challenges.http_answer("/.well-known/acme-challenge/abc_-1"), None);
    }
}
