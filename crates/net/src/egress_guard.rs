//! Says which addresses a client may be connected to. Pure: addresses in, a verdict out.
//!
//! Asked for every address a name resolved to, so that no name can point a client at this machine or its
//! network (DNS rebinding, request forgery). Loops are cut here too: the own listeners are refused to everyone.
//! Not here: rules of the operator (`policy`), the ranges themselves (`egress_guard/class.rs`).

pub mod class;

pub use class::{Class, class, embedded};

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Which classes of addresses may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Clients on this machine reach public, private, loopback and link-local addresses; all others only
    /// public ones.
    #[default]
    Default,
    /// The same for every client, wherever it is. Link-local and metadata addresses are never reached.
    Only {
        /// Whether public addresses may be reached.
        public: bool,
        /// Whether private addresses may be reached: RFC 1918, RFC 6598, RFC 4193.
        private: bool,
        /// Whether loopback addresses may be reached.
        loopback: bool,
    },
}

/// The guard: what may be reached, and which addresses are our own listeners.
#[derive(Debug, Clone)]
pub struct EgressGuard {
    reach: Reach,
    own: Vec<SocketAddr>,
    own_local: Vec<IpAddr>,
}

impl EgressGuard {
    /// A guard for the listeners `own`.
    ///
    /// `own_local` are the addresses of this machine's interfaces. They are needed where a listener is bound
    /// to `0.0.0.0` or `[::]`: such a listener answers on each of them. Loopback need not be listed.
    #[must_use]
    pub fn new(reach: Reach, own: Vec<SocketAddr>, own_local: Vec<IpAddr>) -> Self {
        let own = own.into_iter().map(|at| SocketAddr::new(at.ip().to_canonical(), at.port())).collect();
        let own_local = own_local.into_iter().map(|ip| ip.to_canonical()).collect();
        Self { reach, own, own_local }
    }

    /// Whether `client` may be connected to `dest`.
    ///
    /// Addresses that embed an IPv4 address are judged by what they embed ([`embedded`]).
    ///
    /// # Errors
    /// [`GuardRule`] names the rule that refuses it.
    pub fn check(&self, client: IpAddr, dest: SocketAddr) -> Result<(), GuardRule> {
        if self.is_own(dest) {
            return Err(GuardRule::OwnListener);
        }
        let (public, private, loopback, link_local) = match self.reach {
            Reach::Default if client.to_canonical().is_loopback() => (true, true, true, true),
            Reach::Default => (true, false, false, false),
            Reach::Only { public, private, loopback } => (public, private, loopback, false),
        };
        let (open, rule) = match class(dest.ip()) {
            Class::Public => (public, GuardRule::Public),
            Class::Private => (private, GuardRule::Private),
            Class::Loopback => (loopback, GuardRule::Loopback),
            Class::LinkLocal => (link_local, GuardRule::LinkLocal),
            Class::Multicast => (false, GuardRule::Multicast),
            Class::Broadcast => (false, GuardRule::Broadcast),
            Class::Unspecified => (false, GuardRule::Unspecified),
            Class::Reserved => (false, GuardRule::Reserved),
        };
        if open { Ok(()) } else { Err(rule) }
    }

    fn is_own(&self, dest: SocketAddr) -> bool {
        let ip = dest.ip().to_canonical();
        let inner = embedded(ip).map_or(ip, IpAddr::V4);
        self.own.iter().filter(|own| own.port() == dest.port()).any(|own| {
            if own.ip().is_unspecified() {
                self.is_local(ip) || self.is_local(inner)
            } else {
                own.ip() == ip || own.ip() == inner
            }
        })
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.own_local.contains(&ip)
    }
}

/// The rule by which an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardRule {
    /// The destination is a listener of this proxy: the request would come back.
    OwnListener,
    /// Public addresses are closed by [`Reach::Only`].
    Public,
    /// A private network.
    Private,
    /// This machine.
    Loopback,
    /// Link-local, where clouds keep their metadata services.
    LinkLocal,
    /// A multicast group.
    Multicast,
    /// The limited broadcast address.
    Broadcast,
    /// `0.0.0.0/8` or `::`, which many systems take for this machine.
    Unspecified,
    /// Reserved, for documentation, or never assigned.
    Reserved,
}

impl GuardRule {
    /// A stable word for logs, metrics and replies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OwnListener => "own_listener",
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
        }
    }

    /// One sentence for people, without the address.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OwnListener => "the destination is this proxy itself",
            Self::Public => "public addresses may not be reached through this proxy",
            Self::Private => "private networks may not be reached through this proxy",
            Self::Loopback => "the proxy's own machine may not be reached through it",
            Self::LinkLocal => {
                "link-local and cloud metadata addresses may not be reached through this proxy"
            }
            Self::Multicast => "multicast addresses cannot be reached through a proxy",
            Self::Broadcast => "the broadcast address cannot be reached through a proxy",
            Self::Unspecified => "the unspecified address is no destination",
            Self::Reserved => "the address is reserved and belongs to nobody",
        }
    }
}

impl fmt::Display for GuardRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1";
    const OUTSIDE: &str = "198.51.100.7";

    fn verdict(guard: &EgressGuard, client: &str, dest: &str) -> &'static str {
        match guard.check(client.parse().unwrap(), dest.parse().unwrap()) {
            Ok(()) => "allow",
            Err(rule) => rule.word(),
        }
    }

    #[test]
    fn by_default_outside_clients_reach_public_addresses_only() {
        let guard = EgressGuard::new(Reach::Default, vec![], vec![]);
        for (dest, local, outside) in [
            ("1.1.1.1:443", "allow", "allow"),
            ("[2606:4700::1111]:443", "allow", "allow"),
            ("10.0.0.1:80", "allow", "private"),
            ("100.64.0.1:80", "allow", "private"),
            ("[fd12::1]:80", "allow", "private"),
            ("127.0.0.1:80", "allow", "loopback"),
            ("127.9.9.9:80", "allow", "loopback"),
            ("[::1]:80", "allow", "loopback"),
            ("[::ffff:127.0.0.1]:80", "allow", "loopback"),
            ("[64:ff9b::7f00:1]:80", "allow", "loopback"),
            ("[2002:7f00:1::]:80", "allow", "loopback"),
            ("[2002:a00:1::]:80", "allow", "private"),
            ("[64:ff9b::101:101]:80", "allow", "allow"),
            ("169.254.169.254:80", "allow", "link_local"),
            ("[::ffff:169.254.169.254]:80", "allow", "link_local"),
            ("[64:ff9b::a9fe:a9fe]:80", "allow", "link_local"),
            ("100.100.100.200:80", "allow", "link_local"),
            ("[fd00:ec2::254]:80", "allow", "link_local"),
            ("[fe80::1]:80", "allow", "link_local"),
            ("224.0.0.1:80", "multicast", "multicast"),
            ("[ff02::1]:80", "multicast", "multicast"),
            ("255.255.255.255:80", "broadcast", "broadcast"),
            ("0.0.0.0:80", "unspecified", "unspecified"),
            ("0.1.2.3:80", "unspecified", "unspecified"),
            ("[::]:80", "unspecified", "unspecified"),
            ("240.0.0.1:80", "reserved", "reserved"),
            ("[2001:db8::1]:80", "reserved", "reserved"),
        ] {
            assert_eq!(verdict(&guard, LOCAL, dest), local, "local client to {dest}");
            assert_eq!(verdict(&guard, "::1", dest), local, "local IPv6 client to {dest}");
            assert_eq!(verdict(&guard, "::ffff:127.0.0.1", dest), local, "mapped local client to {dest}");
            assert_eq!(verdict(&guard, OUTSIDE, dest), outside, "outside client to {dest}");
            assert_eq!(verdict(&guard, "10.0.0.9", dest), outside, "client in the private network to {dest}");
        }
    }

    #[test]
    fn an_explicit_reach_holds_for_every_client() {
        for bits in 0..8_u8 {
            let (public, private, loopback) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let guard = EgressGuard::new(Reach::Only { public, private, loopback }, vec![], vec![]);
            for client in [LOCAL, "::1", OUTSIDE, "192.168.1.2"] {
                for (dest, open, word) in [
                    ("1.1.1.1:1", public, "public"),
                    ("192.168.0.1:1", private, "private"),
                    ("127.0.0.1:1", loopback, "loopback"),
                    ("169.254.169.254:1", false, "link_local"),
                    ("[fd00:ec2::254]:1", false, "link_local"),
                    ("224.0.0.1:1", false, "multicast"),
                    ("0.0.0.0:1", false, "unspecified"),
                ] {
                    let wanted = if open { "allow" } else { word };
                    assert_eq!(verdict(&guard, client, dest), wanted, "{client} to {dest}, reach {bits:03b}");
                }
            }
        }
    }

    #[test]
    fn own_listeners_are_refused_to_everyone() {
        let own = ["127.0.0.1:3128", "0.0.0.0:8080", "[::]:9090", "[fd00::5]:7070", "[::ffff:10.0.0.4]:6060"];
        let guard = EgressGuard::new(
            Reach::Only { public: true, private: true, loopback: true },
            own.iter().map(|at| at.parse().unwrap()).collect(),
            ["10.0.0.4", "203.0.114.5", "2600::5", "fd00::5"].iter().map(|ip| ip.parse().unwrap()).collect(),
        );
        for (dest, wanted) in [
            ("127.0.0.1:3128", "own_listener"),
            ("[::ffff:127.0.0.1]:3128", "own_listener"),
            ("[64:ff9b::7f00:1]:3128", "own_listener"),
            ("127.0.0.2:3128", "allow"),
            ("127.0.0.1:3129", "allow"),
            ("10.0.0.4:3128", "allow"),
            ("127.0.0.1:8080", "own_listener"),
            ("127.0.0.77:8080", "own_listener"),
            ("[::1]:8080", "own_listener"),
            ("10.0.0.4:8080", "own_listener"),
            ("[64:ff9b::a00:4]:8080", "own_listener"),
            ("[2002:a00:4::]:8080", "own_listener"),
            ("203.0.114.5:9090", "own_listener"),
            ("[2600::5]:9090", "own_listener"),
            ("10.0.0.5:8080", "allow"),
            ("[fd00::5]:7070", "own_listener"),
            ("[fd00::6]:7070", "allow"),
            ("10.0.0.4:6060", "own_listener"),
            ("0.0.0.0:8080", "unspecified"),
        ] {
            for client in [LOCAL, OUTSIDE] {
                assert_eq!(verdict(&guard, client, dest), wanted, "{client} to {dest}");
            }
        }
    }

    #[test]
    fn every_rule_has_its_own_word_and_text() {
        let rules = [
            GuardRule::OwnListener,
            GuardRule::Public,
            GuardRule::Private,
            GuardRule::Loopback,
            GuardRule::LinkLocal,
            GuardRule::Multicast,
            GuardRule::Broadcast,
            GuardRule::Unspecified,
            GuardRule::Reserved,
        ];
        let words: std::collections::HashSet<_> = rules.iter().map(|rule| rule.word()).collect();
        let texts: std::collections::HashSet<_> = rules.iter().map(GuardRule::to_string).collect();
        assert_eq!((words.len(), texts.len()), (rules.len(), rules.len()));
    }
}
