//! What a node may do: a set of roles in 16 bits (ovl1 section 2.1).
//!
//! Not here: which roles a path needs ([`crate::path`]).

use std::fmt;
use std::ops::BitOr;

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u16);

impl Roles {
    /// No role: with no key, a withdrawal.
    pub const NONE: Self = Self(0);
    /// Takes clients in.
    pub const ENTRY: Self = Self(1);
    /// Stands between entry and exit.
    pub const MIDDLE: Self = Self(2);
    /// Speaks with destinations.
    pub const EXIT: Self = Self(4);
    /// Serves the directory's files to whoever asks.
    pub const DIRECTORY: Self = Self(8);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::ENTRY, "entry"),
        (Self::MIDDLE, "middle"),
        (Self::EXIT, "exit"),
        (Self::DIRECTORY, "directory"),
    ];

    /// The roles of these bits; none when a bit is set that means nothing.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !0xf == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits of these roles.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The role of this name: `entry`, `middle`, `exit`, `directory`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }

    /// Their names, in the order of their bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(role, _)| self.contains(*role)).map(|(_, name)| name)
    }

    /// Whether all of these are among them.
    #[must_use]
    pub const fn contains(self, roles: Self) -> bool {
        self.0 & roles.0 == roles.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Roles {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roles({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_that_means_nothing_is_refused() {
        for bit in 0..16 {
            assert_eq!(Roles::from_bits(1 << bit).is_some(), bit < 4, "bit {bit}");
        }
        assert_eq!(Roles::from_bits(0), Some(Roles::NONE));
    }

    #[test]
    fn roles_have_names_both_ways() {
        let both = Roles::ENTRY | Roles::EXIT;
        assert_eq!(both.to_string(), "entry, exit");
        assert!(both.contains(Roles::EXIT) && !both.contains(Roles::EXIT | Roles::MIDDLE));
        assert_eq!(Roles::named("directory"), Some(Roles::DIRECTORY));
        assert_eq!(Roles::named("Exit"), None);
    }
}
