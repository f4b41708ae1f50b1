//! A target: host and port, the thing a proxy connects to.
//!
//! Reads the authority of RFC 3986 section 3.2 without user information, which RFC 9110 section 4.2.4 wants
//! refused in what comes from outside.

use crate::host::{Host, HostError};
use std::fmt;

/// Host and port. `Debug` hides both; `Display` gives `host:port`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Name or address.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

impl Target {
    /// A target of its parts.
    #[must_use]
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Reads `host:port`, or `host` where `default_port` is given.
    ///
    /// # Errors
    /// [`TargetError`] for a bad host or port, a missing port without a default, or user information.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, TargetError> {
        if authority.contains('@') {
            return Err(TargetError::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some("") | None => default_port.ok_or(TargetError::NoPort)?,
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self { host: Host::parse(host)?, port })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(TargetError::Host(HostError::Brackets))?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(TargetError::Port),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(TargetError::Host(HostError::Brackets)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(digits: &str) -> Result<u16, TargetError> {
    if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TargetError::Port);
    }
    match digits.parse::<u16>() {
        Ok(0) | Err(_) => Err(TargetError::Port),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The host part is wrong.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// No port, and none is implied.
    #[error("the port is missing")]
    NoPort,
    /// `user@host` is refused: it hides where a request really goes.
    #[error("user information before the host is not accepted")]
    UserInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read() {
        for (text, default, shown) in [
            ("example.com:443", None, "example.com:443"),
            ("example.com", Some(80), "example.com:80"),
            ("example.com:", Some(80), "example.com:80"),
            ("[::1]:8080", None, "[::1]:8080"),
            ("[::1]", Some(80), "[::1]:80"),
        ] {
            assert_eq!(Target::parse(text, default).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn odd_authorities_are_refused() {
        for text in [
            "example.com",
            ":80",
            "a:0",
            "a:65536",
            "a:+80",
            "a:80:80",
            "::1",
            "u@a:80",
            "[::1]x",
            "a:8 0",
            "",
        ] {
            assert!(Target::parse(text, None).is_err(), "{text}");
        }
    }
}
