//! What an authority says, in our words: error documents (RFC 8555 section 6.7) and what goes wrong on the way.

use super::error::CertError;
use super::settings::ChallengeKind;
use super::transport::{Transport, TransportError};
use instant_acme::{Error, Problem};
use std::error::Error as _;
use std::time::Duration;

/// Longest text of an authority that is shown.
const LONGEST: usize = 300;

/// What was being done.
pub(super) struct Context<'a> {
    /// URL of the directory.
    pub(super) directory: &'a str,
    /// The name that was ordered.
    pub(super) name: &'a str,
    /// How it was being proven.
    pub(super) kind: Option<ChallengeKind>,
    /// How long the order could take.
    pub(super) patience: Duration,
}

/// The error of an operation.
pub(super) fn of(error: Error, context: &Context<'_>, transport: &Transport) -> CertError {
    match error {
        Error::Api(problem) => of_problem(&problem, context, transport),
        Error::Timeout(_) => CertError::TooSlow { after: context.patience },
        Error::Other(inner) if inner.is::<TransportError>() => {
            CertError::Unreachable { server: server(context.directory), why: inner.to_string() }
        }
        Error::Other(inner) => CertError::Server { why: short(&inner.to_string()) },
        Error::Json(_) => CertError::Server { why: "it is not in the form that ACME has".to_owned() },
        other => {
            let why = other.source().map_or_else(|| other.to_string(), |source| format!("{other}: {source}"));
            CertError::Server { why: short(&why) }
        }
    }
}

/// The error of an error document.
pub(super) fn of_problem(problem: &Problem, context: &Context<'_>, transport: &Transport) -> CertError {
    // What is said about the name itself is more exact than the whole (RFC 8555 section 6.7.1).
    let (kind, detail) = match problem.subproblems.first() {
        Some(first) => (first.r#type.as_deref(), first.detail.as_deref()),
        None => (problem.r#type.as_deref(), problem.detail.as_deref()),
    };
    let kind = kind.unwrap_or_default();
    let word = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let why = short(detail.unwrap_or(word));
    let name = context.name.to_owned();
    let port = context.kind.map_or(443, ChallengeKind::port);
    match word {
        "rateLimited" => CertError::RateLimited { until: transport.retry_after(), why },
        "dns" | "caa" => CertError::Dns { name, why },
        "connection" => CertError::Connection { name, port, why },
        "unauthorized" if context.kind.is_some() => CertError::Unauthorized { name, port, why },
        "incorrectResponse" | "tls" => CertError::Unauthorized { name, port, why },
        "rejectedIdentifier" | "unsupportedIdentifier" => CertError::NameRefused { name, why },
        "accountDoesNotExist"
        | "externalAccountRequired"
        | "invalidContact"
        | "unsupportedContact"
        | "userActionRequired"
        | "unauthorized" => CertError::Account { why },
        _ => CertError::Server { why },
    }
}

/// Whether the authority does not know the account that we have a key of.
pub(super) fn account_is_gone(error: &Error) -> bool {
    is_kind(error, "accountDoesNotExist")
}

/// Whether an order that replaces a certificate (RFC 9773 section 5) may be taken when it replaces none: that one has been
/// replaced already, or was ordered by another account.
pub(super) fn may_be_about_replacing(error: &Error) -> bool {
    matches!(error, Error::Api(_)) && !account_is_gone(error) && !is_kind(error, "rateLimited")
}

fn is_kind(error: &Error, word: &str) -> bool {
    let Error::Api(problem) = error else { return false };
    problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(word))
}

/// Host and port of a URL.
pub(super) fn server(url: &str) -> String {
    let plain = url.strip_prefix("https://").unwrap_or(url);
    plain.split('/').next().unwrap_or_default().to_owned()
}

/// One line without control characters, not too long: it goes to terminals and files.
fn short(text: &str) -> String {
    let clean = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign });
    clean.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_text_cannot_move_the_cursor() {
        assert_eq!(short("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!(short(&"x".repeat(1000)).len(), LONGEST);
        assert_eq!(server("https://127.0.0.1:14000/dir"), "127.0.0.1:14000");
    }
}
