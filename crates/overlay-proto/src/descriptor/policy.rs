//! What an exit says it connects to: ports, the first rule that fits (ovl1 section 2.2).
//!
//! A hint for choosing an exit. Not here: what the exit really does, after it has resolved the name (`overlay`).

use crate::codec::{Malformed, Reader};

/// Ports that are connected to, or are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyRule {
    /// Whether they are.
    pub allow: bool,
    /// The first port.
    pub low: u16,
    /// The last port, not before the first.
    pub high: u16,
}

impl PolicyRule {
    /// Every port.
    pub const ALLOW_ALL: Self = Self { allow: true, low: 0, high: u16::MAX };

    /// Whether these rules allow a port: the first that fits decides, and without one it is refused.
    #[must_use]
    pub fn allows(rules: &[Self], port: u16) -> bool {
        rules.iter().find(|rule| (rule.low..=rule.high).contains(&port)).is_some_and(|rule| rule.allow)
    }

    pub(super) fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self.allow));
        bytes.extend_from_slice(&self.low.to_be_bytes());
        bytes.extend_from_slice(&self.high.to_be_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let allow = match reader.u8("policy verb")? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("policy verb")),
        };
        let (low, high) = (reader.u16("policy ports")?, reader.u16("policy ports")?);
        if low > high {
            return Err(Malformed("policy ports"));
        }
        Ok(Self { allow, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_decides_and_none_refuses() {
        let rule = |allow, low, high| PolicyRule { allow, low, high };
        let rules = [rule(false, 25, 25), rule(true, 1, 1023), rule(true, 8080, 8080)];
        for (port, wanted) in [(25, false), (80, true), (1023, true), (1024, false), (8080, true), (0, false)]
        {
            assert_eq!(PolicyRule::allows(&rules, port), wanted, "{port}");
        }
        assert!(!PolicyRule::allows(&[], 443), "no rule, no port");
        assert!(PolicyRule::allows(&[PolicyRule::ALLOW_ALL], 0));
    }
}
