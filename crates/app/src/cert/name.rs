//! Names that certificates are for, and who can certify them.

use super::error::CertError;
use shoalway_types::DomainName;
use std::fmt;

/// A DNS name in lower case, perhaps with `*.` before it. It is also a file name without any danger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertName(String);

/// Who certifies a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// The authority of this machine: names that no public one may certify.
    Local,
    /// An authority that speaks ACME.
    Acme,
}

/// Top levels that are nobody's in public: `.internal` (ICANN board resolution 2024.07.29.06), `.localhost` (RFC 6761),
/// `.home.arpa` (RFC 8375). The local authority is limited to these.
pub(super) const LOCAL: [&str; 3] = ["internal", "localhost", "home.arpa"];

impl CertName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`CertError::Name`] when no certificate can be for it: an address, a label that DNS does not have, `*` elsewhere
    /// than as the first label.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        let lower = text.to_ascii_lowercase();
        let base = lower.strip_prefix("*.").unwrap_or(&lower);
        let not_a_name = || CertError::Name { text: text.to_owned() };
        let known = DomainName::parse(base).map_err(|_why| not_a_name())?;
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        };
        if known.as_str() != base || !base.split('.').all(is_label) {
            return Err(not_a_name());
        }
        Ok(Self(lower))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all names one label below.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Who certifies it.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        let ends =
            |top: &str| self.0.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if LOCAL.iter().any(|top| ends(top)) { Issuer::Local } else { Issuer::Acme }
    }

    /// What its files are called, without an ending.
    pub(super) fn file(&self) -> String {
        self.0.replace('*', "_")
    }

    /// The name whose files are called so.
    pub(super) fn of_file(stem: &str) -> Option<Self> {
        let text = stem.strip_prefix('_').map_or_else(|| stem.to_owned(), |rest| format!("*{rest}"));
        Self::parse(&text).ok()
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_who_certifies_it() {
        for (text, wanted) in [
            ("shop.example", Some(Issuer::Acme)),
            ("Shop.Example", Some(Issuer::Acme)),
            ("*.shop.example", Some(Issuer::Acme)),
            ("nas.internal", Some(Issuer::Local)),
            ("*.nas.internal", Some(Issuer::Local)),
            ("localhost", Some(Issuer::Local)),
            ("nas.home.arpa", Some(Issuer::Local)),
            ("notinternal", Some(Issuer::Acme)),
            ("internal.example", Some(Issuer::Acme)),
            ("a.*.example", None),
            ("*", None),
            ("", None),
            ("../etc/passwd", None),
            ("a/b.example", None),
            ("_a.example", None),
            ("a..example", None),
        ] {
            assert_eq!(CertName::parse(text).ok().map(|name| name.issuer()), wanted, "{text}");
        }
    }

    #[test]
    fn the_file_of_a_name_leads_back_to_it() {
        for text in ["shop.example", "*.nas.internal"] {
            let name = CertName::parse(text).unwrap();
            assert!(!name.file().contains(['*', '/']));
            assert_eq!(CertName::of_file(&name.file()), Some(name));
        }
    }
}
