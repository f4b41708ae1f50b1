//! Names that are never asked for: those of the hosts file (hosts(5)) and `localhost` (RFC 6761 section 6.3).
//!
//! The file is read once; a new resolver reads it anew. A name that stands there is never asked elsewhere, even
//! when the file knows only one of its families.

use super::answer::Answer;
use shoalway_types::DomainName;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fixed names.
#[derive(Default)]
pub(super) struct Hosts {
    names: HashMap<DomainName, Answer>,
}

impl Hosts {
    /// The hosts file of this system; empty when there is none.
    pub(super) fn system() -> Self {
        std::fs::read("/etc/hosts").map_or_else(|_unreadable| Self::default(), |text| Self::parse(&text))
    }

    /// Reads the format of hosts(5): an address, then names; `#` begins a comment. Lines that make no sense are
    /// passed over, as every resolver does.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut table = Vec::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words.filter_map(|word| DomainName::parse(word).ok()) {
                table.push((name, ip));
            }
        }
        Self::of(&table)
    }

    /// These names; one that stands there more than once has all its addresses.
    pub(super) fn of(table: &[(DomainName, IpAddr)]) -> Self {
        let mut found: HashMap<DomainName, Vec<IpAddr>> = HashMap::new();
        for (name, ip) in table {
            found.entry(name.clone()).or_default().push(ip.to_canonical());
        }
        Self { names: found.into_iter().map(|(name, ips)| (name, Answer::of(&ips))).collect() }
    }

    /// The fixed answer for `name`, if there is one.
    pub(super) fn answer(&self, name: &DomainName) -> Option<Answer> {
        // Before the file: a hosts file must not be able to send `localhost` elsewhere.
        if is_localhost(name.as_str()) {
            return Some(Answer::new([Ipv4Addr::LOCALHOST], [Ipv6Addr::LOCALHOST]));
        }
        self.names.get(name).cloned()
    }
}

fn is_localhost(name: &str) -> bool {
    name.strip_suffix("localhost").is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hosts: &Hosts, name: &str) -> Option<Vec<String>> {
        let found = hosts.answer(&DomainName::parse(name).unwrap())?;
        Some(found.iter().map(|ip| ip.to_string()).collect())
    }

    #[test]
    fn the_hosts_file_is_read_as_its_manual_says() {
        let hosts = Hosts::parse(
            b"# comment\n10.0.0.1 One.example one # first\n\nfd00::1\tone.example\n\
              not-an-address two.example\n10.0.0.2\n10.0.0.3 bad..name three.example\n\
              10.0.0.4 localhost\n10.0.0.5 \xff\xfe four.example",
        );
        for (name, wanted) in [
            ("one.example", Some(vec!["fd00::1", "10.0.0.1"])),
            ("one", Some(vec!["10.0.0.1"])),
            ("two.example", None),
            ("three.example", Some(vec!["10.0.0.3"])),
            ("four.example", Some(vec!["10.0.0.5"])),
            ("localhost", Some(vec!["::1", "127.0.0.1"])),
            ("five.example", None),
        ] {
            let wanted = wanted.map(|ips| ips.into_iter().map(str::to_owned).collect());
            assert_eq!(answer(&hosts, name), wanted, "{name}");
        }
    }

    #[test]
    fn localhost_and_what_is_below_it_is_this_machine() {
        for (name, local) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("app.localhost", true),
            ("mylocalhost", false),
            ("localhost.example", false),
        ] {
            assert_eq!(answer(&Hosts::default(), name).is_some(), local, "{name}");
        }
    }
}
