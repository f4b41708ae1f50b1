//! Credentials in `Proxy-Authorization`: the Basic scheme, RFC 7617.
//!
//! Decoded on the stack and never kept: what was found out about them is in `policy::VerdictCache`. Not here: whether
//! they are right (`policy::Users`), the challenge (`answer`), other schemes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shoalway_wire::http1::fields::FieldsView;
use shoalway_wire::http1::known::Known;

/// Most octets of user and password together. A user has 255 at most, a password that can be right 1,024.
const MAX: usize = 1_536;

/// User and password as a client sent them. Has no `Debug`, so that it can reach no log.
pub struct Basic {
    bytes: [u8; MAX],
    colon: usize,
    end: usize,
}

impl Basic {
    /// The user: UTF-8 without controls and colons, perhaps empty.
    #[must_use]
    pub fn user(&self) -> &str {
        self.bytes.get(..self.colon).and_then(|user| str::from_utf8(user).ok()).unwrap_or_default()
    }

    /// The password; perhaps empty.
    #[must_use]
    pub fn password(&self) -> &[u8] {
        self.bytes.get(self.colon + 1..self.end).unwrap_or_default()
    }
}

/// The log-in of a request. `None` when there is none that can be read, and also when there are two of them: which
/// one counts is then unknown. The client is asked for one in both cases.
#[must_use]
pub fn proxy_authorization(fields: &FieldsView<'_>) -> Option<Basic> {
    let mut all = fields.get_all(Known::ProxyAuthorization);
    match (all.next(), all.next()) {
        (Some(field), None) => basic(field.value),
        (Some(_) | None, _) => None,
    }
}

/// Reads `Basic dXNlcjpwYXNzd29yZA==`. The scheme may have any case, and more than one space may follow it.
#[must_use]
pub fn basic(value: &[u8]) -> Option<Basic> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let mut login = Basic { bytes: [0; MAX], colon: 0, end: 0 };
    // The engine wants room for whole groups, so a text that fits exactly may be refused: the bound is ours anyway.
    login.end = STANDARD.decode_slice(rest.trim_ascii(), &mut login.bytes).ok()?;
    let text = login.bytes.get(..login.end)?;
    login.colon = text.iter().position(|byte| *byte == b':')?;
    let user = str::from_utf8(text.get(..login.colon)?).ok()?;
    (!user.chars().any(char::is_control)).then_some(login)
}

const SCHEME: &[u8] = b"Basic ";

/// The value that says who we are to an upstream proxy, RFC 7617 section 2.
#[must_use]
pub fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, Vec<u8>)> {
        basic(value.as_bytes()).map(|login| (login.user().to_owned(), login.password().to_vec()))
    }

    #[test]
    fn log_ins_are_read() {
        for (value, user, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("basic   dGVzdDoxMjPCow==", "test", "123\u{a3}"),
            ("BASIC YTpiOmM=", "a", "b:c"),
            ("Basic Og==", "", ""),
        ] {
            assert_eq!(read(value), Some((user.to_owned(), password.as_bytes().to_vec())), "{value}");
        }
    }

    #[test]
    fn what_is_no_log_in_is_none() {
        for value in
            ["", "Basic", "Basic ", "Basic !!!!", "Bearer YTpi", "Basic YWJj", "Basic AGE6Yg==", "Basic /zpi"]
        {
            assert!(read(value).is_none(), "{value}");
        }
        let long = basic_value("a", &"x".repeat(4_000));
        assert!(read(&long).is_none());
        let longest = basic_value(&"u".repeat(255), &"x".repeat(1_024));
        assert_eq!(read(&longest).map(|(user, password)| (user.len(), password.len())), Some((255, 1_024)));
    }

    #[test]
    fn what_is_sent_to_an_upstream_reads_back() {
        assert_eq!(read(&basic_value("me", "p:w")), Some(("me".to_owned(), b"p:w".to_vec())));
    }
}
