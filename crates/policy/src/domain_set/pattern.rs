//! One entry of a set as people write it: a name with how much of the tree around it is meant.
//!
//! | written | covers `b.example` | covers `a.b.example` |
//! |---|---|---|
//! | `b.example` | yes | no |
//! | `*.b.example` | no | yes |
//! | `.b.example`, `**.b.example` | yes | yes |
//!
//! Names follow [`shoalway_types::host`]. A star stands only in front: RFC 4592 section 2.1.1 has it so for DNS.

use std::fmt;

use shoalway_types::{Host, HostError};

/// A name and how much of the tree around it is meant. `Debug` hides the name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DomainPattern {
    name: Box<str>,
    reach: Reach,
}

/// How much of the tree a pattern covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The name only.
    Exact,
    /// What is below the name, not itself.
    Below,
    /// The name and what is below it.
    Tree,
}

impl DomainPattern {
    /// Reads a pattern; upper case and one final dot are taken away.
    ///
    /// # Errors
    /// [`PatternError`] when there is no usable name in it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (name, reach) = split_reach(text);
        if name == "*" || name == "**" {
            return Err(PatternError::OnlyStar);
        }
        if name.contains('*') {
            return Err(PatternError::InnerStar);
        }
        match Host::parse(name).map_err(PatternError::Name)? {
            Host::Name(name) => Ok(Self { name: name.as_str().into(), reach }),
            Host::Ip(_) => Err(PatternError::Address),
        }
    }

    /// A pattern of a name already checked.
    #[must_use]
    pub fn new(name: &shoalway_types::DomainName, reach: Reach) -> Self {
        Self { name: name.as_str().into(), reach }
    }

    /// The name, lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much around it is meant.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether `host` (lower case, no final dot) is covered.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let Some(rest) = host.strip_suffix(&*self.name) else { return false };
        match self.reach {
            Reach::Exact => rest.is_empty(),
            Reach::Below => rest.ends_with('.'),
            Reach::Tree => rest.is_empty() || rest.ends_with('.'),
        }
    }
}

impl fmt::Debug for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainPattern").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// The name of a pattern, not yet checked, and its reach.
pub(super) fn split_reach(text: &str) -> (&str, Reach) {
    if let Some(name) = text.strip_prefix("**.").or_else(|| text.strip_prefix('.')) {
        (name, Reach::Tree)
    } else if let Some(name) = text.strip_prefix("*.") {
        (name, Reach::Below)
    } else {
        (text, Reach::Exact)
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A star and nothing else.
    #[error("a star alone is no name")]
    OnlyStar,
    /// A star elsewhere than in front.
    #[error("a star stands only in front, as in `*.example.com`")]
    InnerStar,
    /// An address where a name belongs.
    #[error("this is an address, not a name")]
    Address,
    /// The name is not valid.
    #[error("{0}")]
    Name(HostError),
}
