//! The request target in its four forms, RFC 9112 section 3.2, and the authority in it.
//!
//! Allowed as they are, since a proxy hands them on and no reader cuts them differently: characters that RFC 3986
//! wants percent-encoded (`|`, `"`, `{`), and raw UTF-8. Refused: controls, spaces, a fragment, user information,
//! authorities with anything but letters, digits, `.`, `-`, `_` or an IPv6 address in brackets.
//! Not here: what a host resolves to, which ports may be reached.

use super::method::Method;
use super::refusal::Refusal;
use std::net::Ipv6Addr;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestTarget<'a> {
    /// `http://host/path`: sent to a proxy.
    Absolute {
        /// What the URI begins with.
        scheme: Scheme,
        /// `host` or `host:port`, checked, as sent.
        authority: &'a str,
        /// Path and query. An empty one reads `/`, with OPTIONS `*`; one that begins with `?` lacks the `/` before it.
        path: &'a [u8],
    },
    /// `host:port`: CONNECT alone.
    Authority(&'a str),
    /// `/path?query`: sent to an origin.
    Origin(&'a [u8]),
    /// `*`: OPTIONS alone.
    Asterisk,
}

/// Schemes of an absolute target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
    /// `ws`: RFC 6455 asks for CONNECT, some clients send it to a proxy.
    Ws,
    /// `wss`
    Wss,
}

impl Scheme {
    /// The port that is meant when none is named.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Ws => 80,
            Self::Https | Self::Wss => 443,
        }
    }

    /// Lower case, as in a URI.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn of(text: &[u8]) -> Option<Self> {
        [Self::Http, Self::Https, Self::Ws, Self::Wss]
            .into_iter()
            .find(|scheme| scheme.word().as_bytes().eq_ignore_ascii_case(text))
    }
}

/// The form of a target, with offsets from its first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Origin,
    Absolute {
        scheme: Scheme,
        authority: u16,
        path: u16,
    },
    Authority,
    Asterisk,
}

impl Form {
    /// Reads a target of visible ASCII and UTF-8, at most 65,535 octets.
    pub(super) fn of(target: &[u8], method: Method) -> Result<Self, Refusal> {
        if memchr::memchr(b'#', target).is_some() {
            return Err(Refusal::TargetFragment);
        }
        match (method, target) {
            (Method::Connect, target) => connect(target),
            (_, [b'/', ..]) => Ok(Self::Origin),
            (Method::Options, b"*") => Ok(Self::Asterisk),
            (_, b"*") => Err(Refusal::AsteriskTarget),
            (_, target) => absolute(target),
        }
    }

    /// The target itself, its form known.
    pub(super) fn view(self, target: &[u8], method: Method) -> RequestTarget<'_> {
        match self {
            Self::Origin => RequestTarget::Origin(target),
            Self::Authority => RequestTarget::Authority(str::from_utf8(target).unwrap_or_default()),
            Self::Asterisk => RequestTarget::Asterisk,
            Self::Absolute { scheme, authority, path } => {
                let (before, path) = target.split_at_checked(usize::from(path)).unwrap_or_default();
                let authority = before.get(usize::from(authority)..).unwrap_or_default();
                let path = match path {
                    [] if method == Method::Options => b"*",
                    [] => b"/",
                    path => path,
                };
                RequestTarget::Absolute {
                    scheme,
                    authority: str::from_utf8(authority).unwrap_or_default(),
                    path,
                }
            }
        }
    }
}

fn connect(target: &[u8]) -> Result<Form, Refusal> {
    if target.iter().any(|byte| matches!(byte, b'/' | b'?' | b'*')) {
        return Err(Refusal::ConnectTarget);
    }
    match Authority::parse(target) {
        Ok(Authority { port: Some(_), .. }) => Ok(Form::Authority),
        Ok(Authority { port: None, .. }) => Err(Refusal::ConnectTarget),
        Err(AuthorityFault::Userinfo) => Err(Refusal::TargetUserinfo),
        Err(AuthorityFault::Malformed) => Err(Refusal::TargetAuthority),
    }
}

fn absolute(target: &[u8]) -> Result<Form, Refusal> {
    let colon = target.iter().position(|byte| !is_scheme_byte(*byte)).unwrap_or(target.len());
    let (scheme, rest) = target.split_at(colon);
    let Some(rest) = rest.strip_prefix(b"://") else { return Err(Refusal::TargetForm) };
    let scheme = Scheme::of(scheme).ok_or(Refusal::TargetScheme)?;
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, _path) = rest.split_at(length);
    match Authority::parse(authority) {
        Ok(_good) => {}
        Err(AuthorityFault::Userinfo) => return Err(Refusal::TargetUserinfo),
        Err(AuthorityFault::Malformed) => return Err(Refusal::TargetAuthority),
    }
    let begins = colon + "://".len();
    let narrow = |at: usize| u16::try_from(at).map_err(|_too_long| Refusal::TargetTooLong);
    Ok(Form::Absolute { scheme, authority: narrow(begins)?, path: narrow(begins + length)? })
}

const fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Host and port as bytes. Checked for characters, not for labels: `types/host` does that where a host is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// Not empty; IPv6 with its brackets.
    pub(super) host: &'a [u8],
    /// 1 to 65535. None and an empty one mean the scheme's own, RFC 9110 section 4.2.3.
    pub(super) port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorityFault {
    Userinfo,
    Malformed,
}

impl<'a> Authority<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, AuthorityFault> {
        let length = match text {
            [b'[', ..] => v6_length(text).ok_or(AuthorityFault::Malformed)?,
            _ => text.iter().position(|byte| !is_host_byte(*byte)).unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at_checked(length).ok_or(AuthorityFault::Malformed)?;
        match (host, rest) {
            (_, rest) if rest.contains(&b'@') => Err(AuthorityFault::Userinfo),
            ([], _) => Err(AuthorityFault::Malformed),
            (host, [] | [b':']) => Ok(Self { host, port: None }),
            (host, [b':', digits @ ..]) => Ok(Self { host, port: Some(port(digits)?) }),
            _ => Err(AuthorityFault::Malformed),
        }
    }

    /// Whether a Host field and a target name one place. `default` stands in for a port that is not named.
    pub(super) fn agrees(&self, other: &Self, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Octets of an IPv6 address with its brackets.
fn v6_length(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let inner = str::from_utf8(text.get(1..end)?).ok()?;
    inner.parse::<Ipv6Addr>().ok()?;
    Some(end + 1)
}

fn port(digits: &[u8]) -> Result<u16, AuthorityFault> {
    if digits.len() > 5 {
        return Err(AuthorityFault::Malformed);
    }
    let mut port = 0_u32;
    for digit in digits {
        match digit {
            b'0'..=b'9' => port = port * 10 + u32::from(digit - b'0'),
            _ => return Err(AuthorityFault::Malformed),
        }
    }
    match u16::try_from(port) {
        Ok(port @ 1..) => Ok(port),
        Ok(0) | Err(_) => Err(AuthorityFault::Malformed),
    }
}
