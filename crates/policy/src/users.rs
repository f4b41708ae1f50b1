//! Log-ins from an htpasswd file: `name:hash` lines, read all at once, checked slowly on purpose.
//!
//! Used by HTTP Basic (RFC 7617) and by SOCKS5 user names and passwords (RFC 1929). Checking takes milliseconds
//! to seconds of CPU: it belongs in the pool for slow work, its result in [`VerdictCache`](crate::VerdictCache).
//! An unknown user costs as much as a known one, so that time does not tell who has an account.
//! Not here: Digest, tokens, changing the file.

mod apr1;
mod stored;

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

pub use stored::HashError;
use stored::Stored;

/// The users of one file. `Debug` tells their number only.
#[derive(Default)]
pub struct Users {
    places: HashMap<Box<str>, usize>,
    hashes: Vec<Stored>,
    /// A hash over all password hashes: unknown to who has not read the file.
    seed: u64,
}

impl Users {
    /// Reads an htpasswd file: empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// All mistakes at once, in order; the users are then not usable.
    pub fn parse(text: &str) -> Result<Self, Vec<UsersError>> {
        let mut users = Self::default();
        let mut lines = HashMap::new();
        let mut errors = Vec::new();
        let mut seed = DefaultHasher::new();
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            match parse_line(line) {
                Err(reason) => errors.push(UsersError { line: number, reason }),
                Ok((name, hash)) => {
                    if let Some(first) = lines.insert(name, number) {
                        errors.push(UsersError { line: number, reason: UsersErrorReason::Twice { first } });
                    }
                    users.places.insert(name.into(), users.hashes.len());
                    users.hashes.push(hash);
                    line.hash(&mut seed);
                }
            }
        }
        users.seed = seed.finish();
        if errors.is_empty() { Ok(users) } else { Err(errors) }
    }

    /// Whether `user` exists and `password` is theirs. Slow: run it where slow work belongs.
    ///
    /// For an unknown user the hash of some other one is computed, the same at every attempt with that name.
    /// Refused whatever the hash says: passwords over 1024 octets, over 72 where the hash is bcrypt (it looks at no
    /// more), and ones with a NUL (bcrypt repeats the password with a NUL between, so `a` would equal `a\0a`).
    #[must_use]
    pub fn check(&self, user: &str, password: &[u8]) -> bool {
        let known = self.places.get(user).copied();
        let Some(hash) = self.hashes.get(known.unwrap_or_else(|| self.stand_in(user))) else { return false };
        let (counts, beyond) = password.split_at_checked(MAX_PASSWORD).unwrap_or((password, &[]));
        let equal = hash.check(counts);
        known.is_some() && equal && beyond.is_empty() && !password.contains(&0)
    }

    /// The place of the hash that is computed for an unknown user. Taken from the file's own hashes, so that costs
    /// are spread over unknown names as over known ones; seeded, so that nobody outside can tell which it will be.
    fn stand_in(&self, user: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.seed, user).hash(&mut hasher);
        let count = self.hashes.len() as u64;
        hasher.finish().checked_rem(count).and_then(|place| usize::try_from(place).ok()).unwrap_or(0)
    }

    /// Whether there is such a user. Not for deciding log-ins: its time tells who has an account.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.places.contains_key(user)
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none; nobody can then log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn parse_line(line: &str) -> Result<(&str, Stored), UsersErrorReason> {
    let (name, hash) = line.split_once(':').ok_or(UsersErrorReason::NoColon)?;
    if name.is_empty() || name.len() > MAX_NAME || name.trim() != name || name.chars().any(char::is_control) {
        return Err(UsersErrorReason::Name);
    }
    Ok((name, Stored::parse(hash.trim_end()).map_err(UsersErrorReason::Hash)?))
}

/// Longest user name, in octets: RFC 1929 section 2 has one octet for the length.
const MAX_NAME: usize = 255;

/// Longest password, in octets: `$apr1$` reads it a thousand times.
const MAX_PASSWORD: usize = 1024;

/// A mistake in a file of users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct UsersError {
    /// The line, 1-based.
    pub line: usize,
    /// What is wrong with it; tells neither name nor hash.
    pub reason: UsersErrorReason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsersErrorReason {
    /// No colon between name and hash.
    #[error("there is no colon between a name and a hash")]
    NoColon,
    /// The name is empty, over 255 octets, or has blanks around it or control characters in it.
    #[error("the name is empty, too long, or has blanks or control characters around or in it")]
    Name,
    /// The name was there before.
    #[error("the name stands in line {first} already")]
    Twice {
        /// The line before this one where it stands.
        first: usize,
    },
    /// The hash is refused.
    #[error("{0}")]
    Hash(HashError),
}

impl UsersError {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self.reason {
            UsersErrorReason::NoColon | UsersErrorReason::Hash(_) => {
                "make the line anew with `htpasswd -nB NAME` (package apache2-utils)"
            }
            UsersErrorReason::Name => "use a name of 1 to 255 octets without blanks around it",
            UsersErrorReason::Twice { .. } => "keep one line for each name",
        }
    }
}

#[cfg(test)]
mod tests;
