//! What is known of a node when a path is made, and which two nodes must not stand in one.
//!
//! Two nodes of a path differ in node, family, IPv4 /16 and IPv6 /32 (section 11); a lab network lifts all of it but
//! the node itself. Not here: where the facts come from ([`crate::descriptor`]).

use shoalway_types::wallet::Address;
use std::net::IpAddr;

/// What a path's maker knows of a node.
#[derive(Clone)]
pub struct Candidate {
    /// The node.
    pub node: Address,
    /// Whom it belongs to.
    pub operator: Address,
    /// Nodes it says to be of its family.
    pub family: Vec<Address>,
    /// Addresses it is reached at, as far as they are known.
    pub ips: Vec<IpAddr>,
    /// Its network's number; 0 when it is not known.
    pub asn: u32,
    /// Two letters, or zeros.
    pub country: [u8; 2],
    /// What it says it can carry, KiB a second.
    pub kibps: u32,
    /// It takes clients in.
    pub entry: bool,
    /// It passes circuits on.
    pub middle: bool,
    /// It connects to destinations.
    pub exit: bool,
}

/// What holds in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The network file says `lab = true`: one machine may hold all nodes.
    pub lab: bool,
}

/// Why two nodes must not stand in one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// They are one.
    #[error("it is the same node")]
    Node,
    /// They belong to one operator, or each names the other.
    #[error("they are of one family")]
    Family,
    /// Their addresses are of one /16, or /32 with IPv6.
    #[error("they are in one network")]
    Network,
}

impl Candidate {
    /// Whether the two may stand in one path.
    ///
    /// # Errors
    /// Says what they have in common.
    pub fn beside(&self, other: &Self, rules: Rules) -> Result<(), Clash> {
        if self.node == other.node {
            return Err(Clash::Node);
        }
        if rules.lab {
            return Ok(());
        }
        if self.related(other) {
            return Err(Clash::Family);
        }
        if self.ips.iter().any(|ip| other.ips.iter().any(|theirs| one_network(*ip, *theirs))) {
            return Err(Clash::Network);
        }
        Ok(())
    }

    /// Whether the two are of one family: one operator, or each lists the other.
    #[must_use]
    pub fn related(&self, other: &Self) -> bool {
        self.operator == other.operator
            || (self.family.contains(&other.node) && other.family.contains(&self.node))
    }
}

/// Whether two addresses are of one IPv4 /16 or one IPv6 /32.
fn one_network(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.to_bits() >> 16 == other.to_bits() >> 16,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() >> 96 == other.to_bits() >> 96,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
pub(super) fn candidate(n: u8) -> Candidate {
    Candidate {
        node: Address([n; 20]),
        operator: Address([n; 20]),
        family: Vec::new(),
        ips: vec![IpAddr::from([n, 1, 0, 1])],
        asn: u32::from(n),
        country: *b"CH",
        kibps: 1_000,
        entry: true,
        middle: true,
        exit: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_have_too_much_in_common_do_not_share_a_path() {
        let plain = Rules::default();
        let one = candidate(1);
        type Change = fn(&mut Candidate);
        let table: [(Change, Result<(), Clash>); 8] = [
            (|_| (), Ok(())),
            (|other| other.node = Address([1; 20]), Err(Clash::Node)),
            (|other| other.operator = Address([1; 20]), Err(Clash::Family)),
            (|other| other.family = vec![Address([1; 20])], Ok(())),
            (|other| other.ips = vec![IpAddr::from([1, 1, 200, 9])], Err(Clash::Network)),
            (|other| other.ips = vec![IpAddr::from([1, 2, 0, 1])], Ok(())),
            (|other| other.ips.push("::ffff:1.1.3.3".parse().unwrap()), Err(Clash::Network)),
            (|other| other.ips.clear(), Ok(())),
        ];
        for (row, (change, expected)) in table.into_iter().enumerate() {
            let mut other = candidate(2);
            change(&mut other);
            assert_eq!(one.beside(&other, plain), expected, "row {row}");
            assert_eq!(other.beside(&one, plain), expected, "row {row}, the other way round");
        }
    }

    #[test]
    fn a_family_is_what_both_say() {
        let (mut one, mut other) = (candidate(1), candidate(2));
        one.family = vec![other.node];
        assert!(!one.related(&other), "anybody may claim anybody");
        other.family = vec![one.node];
        assert!(one.related(&other));
    }

    #[test]
    fn ipv6_counts_by_its_first_32_bits() {
        let with = |ip: &str| Candidate { ips: vec![ip.parse().unwrap()], ..candidate(3) };
        let one = Candidate { ips: vec!["2001:db8:1::1".parse().unwrap()], ..candidate(1) };
        assert_eq!(one.beside(&with("2001:db8:ffff::1"), Rules::default()), Err(Clash::Network));
        assert_eq!(one.beside(&with("2001:db9::1"), Rules::default()), Ok(()));
    }

    #[test]
    fn a_lab_may_be_one_machine_but_no_node_stands_twice() {
        let (one, lab) = (candidate(1), Rules { lab: true });
        let same_machine = Candidate { node: Address([2; 20]), ..candidate(1) };
        assert_eq!(one.beside(&same_machine, lab), Ok(()));
        assert_eq!(one.beside(&one, lab), Err(Clash::Node));
    }
}
