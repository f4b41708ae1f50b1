//! Which way a TLS connection goes by what its hello asks for: the name (SNI, RFC 6066 section 3) and the protocols
//! (ALPN, RFC 7301). Nothing is opened.
//!
//! ```text
//! exact name -> nearest `*.parent` -> `*`      within each: the first rule whose protocols the client offers
//! ```
//! No TLS, or a hello without a name: `*` only. Not here: reading hellos (`wire/client_hello`), what a rule leads to.

use shoalway_types::{DomainName, HostError};
use shoalway_wire::client_hello::ClientHello;
use std::collections::HashMap;

/// Which names a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SniPattern {
    /// This name.
    Exact(DomainName),
    /// Every name below this one, however many labels; not the name itself.
    Below(DomainName),
    /// Whatever no other rule is for, also what names nobody or is no TLS.
    Any,
}

impl SniPattern {
    /// Reads `shop.example`, `*.shop.example` or `*`.
    ///
    /// # Errors
    /// [`HostError`] when what is left is no name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) => {
                let name = rest.strip_prefix('.').ok_or(HostError::Character)?;
                DomainName::parse(name).map(Self::Below)
            }
            None => DomainName::parse(text).map(Self::Exact),
        }
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub struct SniRule<T> {
    /// Which names it is for.
    pub name: SniPattern,
    /// Of which protocols the client must offer one, such as `acme-tls/1`; empty: any, or none.
    pub alpn: Vec<Box<[u8]>>,
    /// Where it leads.
    pub to: T,
}

/// All rules of a listener.
#[derive(Debug)]
pub struct SniMap<T> {
    exact: HashMap<Box<str>, Vec<Choice<T>>>,
    below: HashMap<Box<str>, Vec<Choice<T>>>,
    any: Vec<Choice<T>>,
}

#[derive(Debug)]
struct Choice<T> {
    alpn: Vec<Box<[u8]>>,
    to: T,
}

impl<T> Choice<T> {
    fn fits(&self, offered: &[Box<[u8]>]) -> bool {
        self.alpn.is_empty() || self.alpn.iter().any(|wanted| offered.contains(wanted))
    }
}

impl<T> SniMap<T> {
    /// The rules, earlier before later ones where several fit equally well.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = SniRule<T>>) -> Self {
        let mut map = Self { exact: HashMap::new(), below: HashMap::new(), any: Vec::new() };
        for SniRule { name, alpn, to } in rules {
            let list = match name {
                SniPattern::Exact(name) => map.exact.entry(name.as_str().into()).or_default(),
                SniPattern::Below(name) => map.below.entry(name.as_str().into()).or_default(),
                SniPattern::Any => &mut map.any,
            };
            list.push(Choice { alpn, to });
        }
        map
    }

    /// Where this client goes; `None` when no rule is for it.
    #[must_use]
    pub fn find(&self, hello: &ClientHello) -> Option<&T> {
        let offered = hello.alpn.as_slice();
        let by_name = hello.sni.as_ref().and_then(|name| self.by_name(name.as_str(), offered));
        by_name.or_else(|| first(&self.any, offered))
    }

    /// Where whoever speaks no TLS, or waits to be spoken to, goes.
    #[must_use]
    pub fn without_hello(&self) -> Option<&T> {
        first(&self.any, &[])
    }

    /// All places that rules lead to.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        let named = self.exact.values().chain(self.below.values()).flatten();
        named.chain(&self.any).map(|choice| &choice.to)
    }

    fn by_name(&self, name: &str, offered: &[Box<[u8]>]) -> Option<&T> {
        let exact = self.exact.get(name).and_then(|choices| first(choices, offered));
        let parents = std::iter::successors(parent(name), |name| parent(name));
        exact
            .or_else(|| parents.filter_map(|name| self.below.get(name)).find_map(|list| first(list, offered)))
    }
}

fn first<'a, T>(choices: &'a [Choice<T>], offered: &[Box<[u8]>]) -> Option<&'a T> {
    choices.iter().find(|choice| choice.fits(offered)).map(|choice| &choice.to)
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rules: &[(&str, &[&str], &'static str)]) -> SniMap<&'static str> {
        SniMap::new(rules.iter().map(|(name, alpn, to)| SniRule {
            name: SniPattern::parse(name).unwrap(),
            alpn: alpn.iter().map(|protocol| protocol.as_bytes().into()).collect(),
            to: *to,
        }))
    }

    fn hello(name: Option<&str>, alpn: &[&str]) -> ClientHello {
        ClientHello {
            legacy_version: 0x0303,
            sni: name.map(|name| DomainName::parse(name).unwrap()),
            alpn: alpn.iter().map(|protocol| protocol.as_bytes().into()).collect(),
            supported_versions: vec![],
            cipher_suites: vec![],
            extensions: vec![],
            signature_algorithms: vec![],
            encrypted_client_hello: false,
        }
    }

    #[test]
    fn the_closest_name_wins_and_protocols_decide_among_equals() {
        let map = map(&[
            ("*", &[], "rest"),
            ("*.example", &[], "example"),
            ("*.shop.example", &[], "shops"),
            ("shop.example", &["acme-tls/1"], "acme"),
            ("shop.example", &["h2", "h3"], "shop-h2"),
            ("shop.example", &[], "shop"),
            ("only.example", &["h2"], "only-h2"),
        ]);
        for (name, alpn, wanted) in [
            (Some("shop.example"), &["acme-tls/1"][..], "acme"),
            (Some("shop.example"), &["http/1.1", "h2"], "shop-h2"),
            (Some("shop.example"), &[], "shop"),
            (Some("a.shop.example"), &["h2"], "shops"),
            (Some("a.b.shop.example"), &[], "shops"),
            (Some("other.example"), &[], "example"),
            (Some("only.example"), &["http/1.1"], "example"),
            (Some("example"), &[], "rest"),
            (Some("elsewhere.test"), &[], "rest"),
            (None, &["h2"], "rest"),
        ] {
            assert_eq!(map.find(&hello(name, alpn)), Some(&wanted), "{name:?} {alpn:?}");
        }
        assert_eq!((map.without_hello(), map.all().count()), (Some(&"rest"), 7));
    }

    #[test]
    fn without_a_rule_for_the_rest_strangers_go_nowhere() {
        let map = map(&[("shop.example", &[], "shop"), ("*", &["h2"], "h2")]);
        assert_eq!(map.find(&hello(Some("else.example"), &[])), None);
        assert_eq!(map.find(&hello(None, &["h2"])), Some(&"h2"));
        assert_eq!(map.without_hello(), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "*example", "*.", "a..b", "*.*.example", "shop.example:443"] {
            assert!(SniPattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(SniPattern::parse("Shop.Example"), SniPattern::parse("shop.example"));
    }
}
