//! One endpoint as configured or discovered: where it is, how it is spoken to, how much it may get.
//!
//! Not here: how it fares (`state.rs`); TLS parameters, which belong to the site.

use shoalway_types::{Target, TargetError};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 in the clear, by prior knowledge (RFC 9113 section 3.3).
    H2c,
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Scheme {
    /// The word before `://`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::H2c => Some(80),
            Self::Https => Some(443),
            Self::Tcp | Self::Udp => None,
        }
    }
}

/// Where an endpoint is. `Debug` hides it; `Display` does not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Host and port; a name is resolved at each connection, unless discovery has turned it into addresses.
    Net(Target),
    /// A Unix socket of this machine.
    Unix(Arc<Path>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(target) => target.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What makes two endpoints of one upstream the same, over reloads and discoveries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Net(target) => write!(f, "{}://{target}", self.scheme.word()),
            Address::Unix(_) => write!(f, "{}", self.address),
        }
    }
}

/// An endpoint as configured or discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its identity.
    pub key: EndpointKey,
    /// Its share beside the others of its priority, 0 to [`MAX_WEIGHT`]; 0 gets nothing. Default 1.
    pub weight: u32,
    /// 0 is used first; a higher number only as the lower ones fail. At most [`MAX_PRIORITY`]; default 0.
    pub priority: u8,
    /// The zone it is in, for those who prefer their own. Default: none.
    pub zone: Option<Arc<str>>,
    /// Words to choose by in routes and to show in `status`.
    pub tags: Arc<[Arc<str>]>,
}

/// Largest weight of an endpoint.
pub const MAX_WEIGHT: u32 = 65_535;
/// Largest priority number.
pub const MAX_PRIORITY: u8 = 15;

impl EndpointSpec {
    /// An endpoint of weight 1, priority 0, without zone and tags.
    #[must_use]
    pub fn new(scheme: Scheme, address: Address) -> Self {
        let key = EndpointKey { scheme, address };
        Self { key, weight: 1, priority: 0, zone: None, tags: Arc::default() }
    }

    /// Reads `http://host[:port]`, `https://`, `h2c://`, `tcp://host:port`, `udp://host:port`, `unix:/path`, or
    /// `host:port`; the last two are spoken to by `scheme`.
    ///
    /// # Errors
    /// [`EndpointError`]; a path behind an HTTP address is one too: rewriting belongs to the route.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.contains('\0') {
                return Err(EndpointError::UnixPath);
            }
            return Ok(Self::new(scheme, Address::Unix(Arc::from(Path::new(path)))));
        }
        let (scheme, authority) = match text.split_once("://") {
            None => (scheme, text),
            Some((word, rest)) => (scheme_of(word)?, rest),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#']) {
            return Err(EndpointError::Path);
        }
        let target = Target::parse(authority, scheme.default_port())?;
        Ok(Self::new(scheme, Address::Net(target)))
    }
}

fn scheme_of(word: &str) -> Result<Scheme, EndpointError> {
    [Scheme::Http, Scheme::Https, Scheme::H2c, Scheme::Tcp, Scheme::Udp]
        .into_iter()
        .find(|scheme| scheme.word() == word)
        .ok_or(EndpointError::Scheme)
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not one of the five.
    #[error("the scheme is none of http, https, h2c, tcp, udp, unix")]
    Scheme,
    /// Something stands behind host and port.
    #[error("an endpoint has no path, query or fragment")]
    Path,
    /// Not an absolute path.
    #[error("the path of a Unix socket begins with /")]
    UnixPath,
    /// Host or port are wrong.
    #[error(transparent)]
    Target(#[from] TargetError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_the_configuration_writes_them() {
        for (text, shown) in [
            ("http://192.0.2.11:8080", "http://192.0.2.11:8080"),
            ("http://app.example/", "http://app.example:80"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
            ("h2c://127.0.0.1:9001", "h2c://127.0.0.1:9001"),
            ("192.0.2.21:5432", "tcp://192.0.2.21:5432"),
            ("udp://192.0.2.21:53", "udp://192.0.2.21:53"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
        ] {
            let spec = EndpointSpec::parse(text, Scheme::Tcp).unwrap();
            assert_eq!(spec.key.to_string(), shown, "{text}");
            assert_eq!((spec.weight, spec.priority), (1, 0));
        }
        assert_eq!(EndpointSpec::parse("unix:/run/app.sock", Scheme::Http).unwrap().key.scheme, Scheme::Http);
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        for (text, why) in [
            ("ftp://a.example", EndpointError::Scheme),
            ("http://a.example/app", EndpointError::Path),
            ("http://a.example?x", EndpointError::Path),
            ("unix:run/app.sock", EndpointError::UnixPath),
            ("a.example", EndpointError::Target(TargetError::NoPort)),
            ("http://u:p@a.example", EndpointError::Target(TargetError::UserInfo)),
        ] {
            assert_eq!(EndpointSpec::parse(text, Scheme::Tcp), Err(why), "{text}");
        }
    }

    #[test]
    fn debug_output_tells_no_address() {
        let spec = EndpointSpec::parse("http://secret.example", Scheme::Http).unwrap();
        assert!(!format!("{spec:?}").contains("secret"));
    }
}
