//! Registered domains that belong together: the log-in, static and API hosts of one company (section 3.2).
//!
//! One group a line, domains separated by spaces, the same text for everybody. Not here: where the text comes from.

use std::collections::HashMap;

/// Longest text, section 3.2.
pub(super) const MAX_TEXT: usize = 256 << 10;

/// The groups.
#[derive(Clone, Default)]
pub struct Affinity {
    group: HashMap<Box<str>, Box<str>>,
}

/// Why a text is none of groups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// It is longer than 256 KiB.
    #[error("the affinity groups are longer than 256 KiB")]
    TooLong,
    /// A line has something else than lower-case domains.
    #[error("line {0} of the affinity groups has something that is no lower-case domain")]
    Domain(usize),
    /// A domain stands twice.
    #[error("line {0} of the affinity groups has a domain that stands there already")]
    Twice(usize),
}

impl Affinity {
    /// Reads the groups.
    ///
    /// # Errors
    /// [`AffinityError`] names the line, from 1.
    pub fn parse(text: &str) -> Result<Self, AffinityError> {
        if text.len() > MAX_TEXT {
            return Err(AffinityError::TooLong);
        }
        let mut group = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let mut domains = line.split(' ').filter(|domain| !domain.is_empty()).peekable();
            let Some(first) = domains.peek().copied() else { continue };
            for domain in domains {
                if !is_domain(domain) {
                    return Err(AffinityError::Domain(index + 1));
                }
                if group.insert(domain.into(), first.into()).is_some() {
                    return Err(AffinityError::Twice(index + 1));
                }
            }
        }
        Ok(Self { group })
    }

    /// The domain that stands for the group of this one, if it is in any.
    #[must_use]
    pub fn group_of(&self, domain: &str) -> Option<&str> {
        self.group.get(domain).map(AsRef::as_ref)
    }

    /// How many domains stand in groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.group.len()
    }

    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.is_empty()
    }
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_domain_of_a_line_stands_for_the_others() {
        let affinity = Affinity::parse("a.example b.example\n\nc.example  d.example\n").unwrap();
        assert_eq!(affinity.group_of("b.example"), Some("a.example"));
        assert_eq!(affinity.group_of("a.example"), Some("a.example"));
        assert_eq!(affinity.group_of("d.example"), Some("c.example"));
        assert_eq!(affinity.group_of("e.example"), None);
        assert_eq!(affinity.len(), 4);
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused_with_its_line() {
        for (text, error) in [
            ("a.example\nB.example\n", AffinityError::Domain(2)),
            ("a.example ..\n", AffinityError::Domain(1)),
            ("a.example\nb.example a.example\n", AffinityError::Twice(2)),
            (&"x".repeat(MAX_TEXT + 1), AffinityError::TooLong),
        ] {
            assert_eq!(Affinity::parse(text).err(), Some(error));
        }
    }
}
