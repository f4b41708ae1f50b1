//! Which site a host belongs to: by its name, by a wildcard above it, or the site for all others.
//!
//! `*.example.org` stands for every name below `example.org`, however deep, and not for `example.org` itself; the longest
//! one counts. Names are compared without regard to case and to a final dot (RFC 9110 section 4.2.3), ports are left out.
//! Not here: certificates, whose wildcards are of one label (`net/certificates`).

use shoalway_types::{DomainName, Host, HostError};
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// A host as a site's list has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every host that no other site has, and requests without one.
    Any,
    /// A name or an address.
    Exact(Host),
    /// `*.name`.
    Below(DomainName),
}

impl HostPattern {
    /// Reads `*`, `*.name`, a name or an address, without a port.
    ///
    /// # Errors
    /// [`HostError`] when it is none of them.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(name) => DomainName::parse(name).map(Self::Below),
            None => Host::parse(text).map(Self::Exact),
        }
    }
}

/// An index over the hosts of several sites.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    exact: HashMap<Box<str>, usize>,
    below: HashMap<Box<str>, usize>,
    any: Option<usize>,
}

impl Hosts {
    /// Adds a host of the site at this place. Says whether it was free.
    pub fn insert(&mut self, pattern: &HostPattern, site: usize) -> bool {
        let before = match pattern {
            HostPattern::Any => self.any.replace(site),
            HostPattern::Exact(host) => self.exact.insert(key(host), site),
            HostPattern::Below(name) => self.below.insert(name.as_str().into(), site),
        };
        before.is_none()
    }

    /// The place of the site for an authority: `host` or `host:port`, as the parser of heads lets it in.
    #[must_use]
    pub fn find(&self, authority: &str) -> Option<usize> {
        let name = host_of(authority);
        if let Ok(ip) = name.parse::<Ipv6Addr>() {
            return self.exact.get(&*key(&Host::Ip(ip.into()))).copied().or(self.any);
        }
        let mut lower = [0; MAX_HOST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let name = str::from_utf8(lower).ok()?;
        self.exact.get(name).or_else(|| self.find_below(name)).copied().or(self.any)
    }

    /// The place of the site for requests that name no host.
    #[must_use]
    pub const fn any(&self) -> Option<usize> {
        self.any
    }

    fn find_below(&self, name: &str) -> Option<&usize> {
        if self.below.is_empty() {
            return None;
        }
        let mut rest = name;
        while let Some((_label, parent)) = rest.split_once('.') {
            if let Some(found) = self.below.get(parent) {
                return Some(found);
            }
            rest = parent;
        }
        None
    }
}

/// A host as the index has it: an IPv6 address without brackets.
fn key(host: &Host) -> Box<str> {
    match host.ip() {
        Some(ip) => ip.to_string().into(),
        None => host.to_string().into(),
    }
}

/// An authority without port, brackets and final dot.
#[must_use]
pub fn host_of(authority: &str) -> &str {
    if let Some((inner, _port)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inner;
    }
    let host = authority.split_once(':').map_or(authority, |(host, _port)| host);
    host.strip_suffix('.').unwrap_or(host)
}

/// Longest host that is looked up, in octets.
const MAX_HOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_finds_its_site() {
        let mut hosts = Hosts::default();
        for (site, text) in
            ["a.example", "*.example", "*.b.example", "192.0.2.1", "2001:db8::1"].iter().enumerate()
        {
            assert!(hosts.insert(&HostPattern::parse(text).unwrap(), site));
        }
        for (authority, site) in [
            ("a.example", Some(0)),
            ("A.Example:8080", Some(0)),
            ("a.example.", Some(0)),
            ("x.example", Some(1)),
            ("x.a.example", Some(1)),
            ("x.y.b.example", Some(2)),
            ("b.example", Some(1)),
            ("example", None),
            ("192.0.2.1:1", Some(3)),
            ("[2001:db8::1]:1", Some(4)),
            ("[2001:DB8:0::1]", Some(4)),
            ("other.test", None),
            (".", None),
        ] {
            assert_eq!(hosts.find(authority), site, "{authority}");
        }
        assert!(!hosts.insert(&HostPattern::parse("a.EXAMPLE").unwrap(), 9));
        assert!(hosts.insert(&HostPattern::Any, 7));
        assert_eq!((hosts.find("other.test"), hosts.any()), (Some(7), Some(7)));
        assert_eq!(hosts.find(&"x".repeat(300)), None);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*.", "*.*", "a b", "a.example:80", "*a.example"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
