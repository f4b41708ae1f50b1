//! Invitations: the network and up to eight entries in one link (ovl1 section 3.3).
//!
//! ```text
//! shoalway://join#1.PAYLOAD.CHECK
//! ```
//! Whoever has the link can reach the entries: it is a secret, and names a place. The check finds typing errors and
//! protects nothing; what the entries then serve is checked against the network's name. Not here: where a link is read
//! from and how it is kept, what `join` does with it.

use crate::codec::{Malformed, Reader};
use crate::descriptor::{Endpoint, EndpointError};
use crate::kdf::{Secret, hash};
use crate::moment::UnixTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shoalway_types::wallet::Address;
use std::fmt;

/// Longest link, in characters.
pub const INVITE_MOST: usize = 2000;
/// Entries in an invitation.
pub const ENTRIES_MOST: usize = 8;

const SCHEME: &str = "shoalway://join#";
const VERSION: &str = "1";
const CHECK_LABEL: &[u8] = b"ovl1 invite\0";

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The network, by the hash of its first file.
    pub network: [u8; 32],
    /// The last second at which the link may be used to join.
    pub expires: UnixTime,
    /// Entries, 1 to 8, none twice.
    pub entries: Vec<InvitedEntry>,
}

/// An entry that an invitation leads to.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitedEntry {
    /// The node.
    pub node: Address,
    /// The X25519 key of its links.
    pub link_key: [u8; 32],
    /// The gate that lets the invited in.
    pub gate: Gate,
    /// Where it is.
    pub endpoint: Endpoint,
}

/// The secret of an invitation: who has it is let in.
#[derive(Clone)]
pub struct Gate(pub Secret);

/// Why a text is no invitation that can be used. The texts are for the person who has typed or pasted it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It begins otherwise.
    #[error("an invitation begins with `{SCHEME}`; this does not")]
    Scheme,
    /// Made by a later program.
    #[error(
        "this invitation is of version {found}, and only version {VERSION} is understood: a newer program made it"
    )]
    Version {
        /// Its version.
        found: u16,
    },
    /// Over 2,000 characters.
    #[error("this invitation has {found} characters, and {INVITE_MOST} is the most there may be")]
    TooLong {
        /// How many.
        found: usize,
    },
    /// A part is missing.
    #[error("a part of this invitation is missing: was all of it copied?")]
    Cut,
    /// A character that no invitation has.
    #[error(
        "character {at} of this invitation, `{character}`, does not occur in one: it was mistyped or broken in two"
    )]
    Character {
        /// Which one, from 1.
        at: usize,
        /// What stands there.
        character: char,
    },
    /// The check does not fit.
    #[error("this invitation has a typing error, or a part of it is missing")]
    Check,
    /// The check fits, but the content is none: whoever made it made a mistake.
    #[error("this invitation was not made rightly ({0}): ask for another one")]
    Malformed(Malformed),
    /// An entry is where nobody else reaches it, and the network may be no lab.
    #[error("entry {entry} of this invitation cannot be reached from elsewhere: {error}")]
    Endpoint {
        /// Which entry, from 1.
        entry: usize,
        /// What is wrong.
        error: EndpointError,
    },
    /// Its time is over.
    #[error("this invitation expired {} ago: ask for a new one", ago(*.seconds))]
    Expired {
        /// How long ago, in seconds.
        seconds: u64,
    },
}

impl Invite {
    /// The link.
    ///
    /// # Errors
    /// When it could not be read back: no entry or over 8, one twice, an endpoint out of form, over 2,000 characters.
    pub fn link(&self) -> Result<String, InviteError> {
        let payload = self.encode();
        Self::decode(&payload).map_err(InviteError::Malformed)?;
        let check = check_of(&payload);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let link = format!("{SCHEME}{VERSION}.{}.{}", text(&payload), text(&check));
        if link.len() > INVITE_MOST { Err(InviteError::TooLong { found: link.len() }) } else { Ok(link) }
    }

    /// Reads a link; white space around it is passed over. What time it is, and where its entries are, is not looked
    /// at.
    ///
    /// # Errors
    /// [`InviteError`]; the words are for whoever has typed it.
    pub fn parse(link: &str) -> Result<Self, InviteError> {
        let link = link.trim();
        let found = link.chars().count();
        if found > INVITE_MOST {
            return Err(InviteError::TooLong { found });
        }
        let rest = link.strip_prefix(SCHEME).ok_or(InviteError::Scheme)?;
        let (version, rest) = rest.split_once('.').ok_or(InviteError::Cut)?;
        if version != VERSION {
            // What is no number is a link without a dot, and not repeated here: it is a secret.
            let found = version.parse().map_err(|_no_number| InviteError::Cut)?;
            return Err(InviteError::Version { found });
        }
        check_characters(link, rest)?;
        let (payload, check) = rest.split_once('.').ok_or(InviteError::Cut)?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_not_base64| InviteError::Check);
        let (payload, check) = (bytes(payload)?, bytes(check)?);
        if check != check_of(&payload) {
            return Err(InviteError::Check);
        }
        Self::decode(&payload).map_err(InviteError::Malformed)
    }

    /// Whether the invitation can be used at this time, in a network that is a lab or is not.
    ///
    /// # Errors
    /// `Expired`, and `Endpoint` when an entry is private, loopback or link-local.
    pub fn check(&self, lab: bool, now: UnixTime) -> Result<(), InviteError> {
        if now > self.expires {
            return Err(InviteError::Expired { seconds: now.0.saturating_sub(self.expires.0) });
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let place = entry.endpoint.check_place(lab);
            place.map_err(|error| InviteError::Endpoint { entry: index + 1, error })?;
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&self.network);
        bytes.extend_from_slice(&self.expires.0.to_be_bytes());
        bytes.push(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.node.0);
            bytes.extend_from_slice(&entry.link_key);
            bytes.extend_from_slice(entry.gate.0.bytes());
            entry.endpoint.put(&mut bytes);
        }
        bytes
    }

    /// Reads the payload of a link.
    ///
    /// # Errors
    /// When it is none, to the last byte.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.zeros(1, "invite flags")?;
        let network = reader.array("invite network")?;
        let expires = UnixTime(reader.u64("invite expires")?);
        let count = usize::from(reader.u8("invite count")?);
        if !(1..=ENTRIES_MOST).contains(&count) {
            return Err(Malformed("invite count"));
        }
        let mut entries: Vec<InvitedEntry> = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = InvitedEntry {
                node: Address(reader.array("invite node")?),
                link_key: reader.array("invite link key")?,
                gate: Gate(Secret::from(reader.array("invite gate")?)),
                endpoint: Endpoint::read(&mut reader)?,
            };
            if entries.contains(&entry) {
                return Err(Malformed("invite entry"));
            }
            entries.push(entry);
        }
        reader.finish()?;
        Ok(Self { network, expires, entries })
    }
}

/// The first character that no link has, if there is one: the rest of a link is base64url and dots.
fn check_characters(link: &str, rest: &str) -> Result<(), InviteError> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let before = link.chars().count() - rest.chars().count();
    match rest.chars().enumerate().find(|(_, character)| !known(*character)) {
        None => Ok(()),
        Some((index, character)) => Err(InviteError::Character { at: before + index + 1, character }),
    }
}

fn check_of(payload: &[u8]) -> [u8; 3] {
    let [a, b, c, ..] = hash(&[CHECK_LABEL, payload]);
    [a, b, c]
}

fn ago(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        crate::kdf::equal(self.0.bytes(), other.0.bytes())
    }
}

impl Eq for Gate {}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate([hidden])")
    }
}

impl fmt::Debug for InvitedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitedEntry([hidden])")
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
