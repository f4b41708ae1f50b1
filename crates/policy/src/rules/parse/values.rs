//! The values of matches: networks, names, ports, methods, users, lists. Every bad one of a match is reported.

use std::ops::RangeInclusive;

use super::words::Word;
use super::{Reader, RuleErrorKind, one_of};
use crate::cidr_set::{Cidr, CidrError, CidrSet};
use crate::domain_set::{DomainPattern, PatternError};
use crate::rules::matcher::{Domains, Subject};
use crate::suggest::did_you_mean;

impl Reader<'_> {
    /// The match `key:value`.
    pub(super) fn subject(&mut self, key: Word<'_>, value: Word<'_>) -> Option<Subject> {
        match key.text {
            "ip" => self.networks(value).map(Subject::Address),
            "client" => self.networks(value).map(Subject::Client),
            "domain" => {
                self.each(value, Self::pattern).map(|patterns| Subject::Domain(Domains::new(patterns)))
            }
            "list" => self.each(value, Self::list).map(|lists| Subject::List(lists.into())),
            "port" => self.each(value, Self::ports).map(|ports| Subject::Port(ports.into())),
            "method" => self.each(value, Self::method).map(|methods| Subject::Method(methods.into())),
            "user" => self
                .each(value, |_, user| Some(user.text.into()))
                .map(|users: Vec<_>| Subject::User(users.into())),
            _ => {
                self.unknown_key(key);
                None
            }
        }
    }

    /// Networks between commas.
    pub(super) fn networks(&mut self, value: Word<'_>) -> Option<CidrSet> {
        self.each(value, Self::network).map(CidrSet::from_iter)
    }

    /// Reads the values between commas with `read`, all of them even after a bad one.
    fn each<T>(&mut self, list: Word<'_>, read: impl Fn(&mut Self, Word<'_>) -> Option<T>) -> Option<Vec<T>> {
        let mut good = Vec::new();
        let mut all_good = true;
        for value in list.values() {
            let read = if value.text.is_empty() {
                // Points at the comma or colon that nothing follows, or that nothing precedes.
                let at = value.at.saturating_sub(1)..value.at;
                self.error(
                    at,
                    RuleErrorKind::MissingValue,
                    "a value is missing here",
                    "write one, or drop the comma",
                );
                None
            } else if value.text.starts_with('\'') {
                self.bad(value, "only the text of `say:` stands in quotes", "write it without quotes");
                None
            } else {
                read(self, value)
            };
            all_good &= read.is_some();
            good.extend(read);
        }
        all_good.then_some(good)
    }

    fn bad(&mut self, value: Word<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.error(value.span(), RuleErrorKind::BadValue, message, help);
    }

    fn network(&mut self, value: Word<'_>) -> Option<Cidr> {
        let error = match Cidr::parse(value.text) {
            Ok(network) => return Some(network),
            Err(error) => error,
        };
        let help = match error {
            CidrError::Address => {
                "write an address or a network, such as `192.0.2.0/24` or `2001:db8::/32`".into()
            }
            CidrError::Prefix { .. } => "write the number of leading bits after the slash".into(),
            CidrError::HostBits { meant } => format!("did you mean `{meant}`?"),
        };
        self.bad(value, format!("`{}`: {error}", value.text), help);
        None
    }

    fn pattern(&mut self, value: Word<'_>) -> Option<DomainPattern> {
        let error = match DomainPattern::parse(value.text) {
            Ok(pattern) => return Some(pattern),
            Err(error) => error,
        };
        let help = match error {
            PatternError::OnlyStar => "write `all` for every destination".into(),
            PatternError::Address => format!("write `ip:{}`", value.text.trim_start_matches(['*', '.'])),
            PatternError::Name(_) if !value.text.is_ascii() => "write the `xn--` form of the name".into(),
            PatternError::Name(_) if value.text.contains(['/', ':']) => {
                "write the name alone; ports go with `port:`, networks with `ip:`".into()
            }
            PatternError::InnerStar | PatternError::Name(_) => {
                "names look like `a.example`, `*.a.example` (all below it) or `.a.example` (both)".to_owned()
            }
        };
        self.bad(value, format!("`{}`: {error}", value.text), help);
        None
    }

    fn list(&mut self, value: Word<'_>) -> Option<std::sync::Arc<crate::domain_set::DomainSet>> {
        let lists = self.names.lists;
        if let Some(list) = lists.get(value.text) {
            return Some(list.clone());
        }
        let known = || lists.keys().map(String::as_str);
        let help = did_you_mean(value.text, known(), &one_of("lists", known()));
        let message = format!("there is no list `{}`", value.text);
        self.error(value.span(), RuleErrorKind::UnknownList, message, help);
        None
    }

    /// `80` or `8000-8999`.
    fn ports(&mut self, value: Word<'_>) -> Option<RangeInclusive<u16>> {
        let (first, last) = value.text.split_once('-').unwrap_or((value.text, value.text));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Some(first..=last),
            (Some(first), Some(last)) => {
                let help = format!("did you mean `{last}-{first}`?");
                self.bad(value, format!("the range `{}` runs backwards", value.text), help);
                None
            }
            _ => {
                let help = "ports are numbers from 1 to 65535, ranges look like `8000-8999`";
                self.bad(value, format!("`{}` is no port", value.text), help);
                None
            }
        }
    }

    /// A token of RFC 9110 section 5.6.2.
    fn method(&mut self, value: Word<'_>) -> Option<Box<str>> {
        if value.text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            return Some(value.text.into());
        }
        self.bad(value, format!("`{}` is no method", value.text), "methods look like `GET` or `CONNECT`");
        None
    }
}

/// Digits only: `parse` alone would take a sign, too.
fn port(digits: &str) -> Option<u16> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|port| *port != 0)
}
