//! What an operator writes or subscribes to: rules, lists of names, users files.
//!
//! Promises: no panic; a mistake has its place inside the line it is about; a rule set decides about any target; a
//! list contains what it was read from.

use shoalway_policy::rules::Names;
use shoalway_policy::{DomainSet, Query, RuleSet, Users};
use shoalway_types::Host;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Rules, one a line: they are read or refused at a place, and then decide.
///
/// # Panics
/// When a promise is broken.
pub fn rules(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let names = Names { exits: &["vps", "home"], lists: &BTreeMap::new(), overlay: false };
    match RuleSet::parse(&lines, &names) {
        Ok(rules) => decide(&rules, lines.len()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                let line = lines.get(mistake.rule).copied().unwrap_or_default();
                assert!(line.get(mistake.span.clone()).is_some(), "{:?} is not in {line:?}", mistake.span);
            }
        }
    }
}

fn decide(rules: &RuleSet, written: usize) {
    for text in ["a.example", "192.0.2.1", "2001:db8::1", "localhost"] {
        let Ok(host) = Host::parse(text) else { continue };
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let query = Query { host: &host, port: 443, method: "GET", client, user: None, resolved: None };
        let decision = rules.decide(&query);
        assert!(usize::try_from(decision.rule).is_ok_and(|rule| rule <= written), "a rule nobody wrote");
        let first = rules.explain(&query).first().map(|found| found.rule);
        assert_eq!(first, Some(decision.rule), "why and traffic differ");
    }
}

/// A list of names as it is subscribed to: no line of it breaks the set, and plain names are found again.
///
/// # Panics
/// When a promise is broken.
pub fn domain_list(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (set, _summary) = DomainSet::from_list(text);
    for name in text.lines().map(str::trim).filter(|line| is_plain(line)) {
        assert!(set.contains(&name.to_ascii_lowercase()), "{name:?} was in the list");
    }
}

/// A line that can only be one name.
fn is_plain(line: &str) -> bool {
    let labels = line.split('.').count();
    let fine = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    labels >= 2 && line.len() <= 253 && line.split('.').all(fine)
}

/// A users file: read, or refused with lines that exist.
///
/// # Panics
/// When a promise is broken.
pub fn users(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Users::parse(text) {
        Ok(users) => assert!(users.len() <= text.lines().count(), "more users than lines"),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            let lines = text.lines().count();
            assert!(
                mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line)),
                "a line that is not there"
            );
        }
    }
}
