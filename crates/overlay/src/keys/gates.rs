//! Who is let in: the gate of the descriptor, and those of invitations (ovl1 sections 3.3, 4).
//!
//! One file, a line for each gate: `gate SLOT MADE EXPIRES NAME HEX`. Slot 0 is the descriptor's, slot 1 the one that
//! invitations share, the others are for guests who are told apart. Not here: the check itself (`overlay-proto`).

use super::files::{self, FileError};
use rand_core::CryptoRng;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::opener::GateKeeper;
use std::path::Path;
use zeroize::Zeroizing;

/// The slot that invitations share.
pub const SHARED: usize = 1;
/// The name of the gate that invitations share.
pub const EVERYBODY: &str = "everybody";
/// Longest name of a guest.
pub const NAME_MOST: usize = 32;

const HEAD: &str = "shoalway gates 1";

/// One gate.
#[derive(Clone)]
pub struct GateLine {
    /// Where the keeper has it.
    pub slot: usize,
    /// When it was made.
    pub made: UnixTime,
    /// Until when it admits anybody; none: until it is taken away.
    pub expires: Option<UnixTime>,
    /// For whom: a word for the operator.
    pub name: String,
    /// The gate.
    pub gate: Secret,
}

/// All gates of a node.
#[derive(Clone, Default)]
pub struct Gates(Vec<GateLine>);

/// Why there is no gate for a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoGate {
    /// All slots are taken.
    #[error("all 14 gates for single guests are taken: remove one, or share the link of everybody")]
    Full,
    /// Not a name.
    #[error("a guest's name has 1 to 32 letters, digits, `-`, `_` and `.`")]
    Name,
}

impl Gates {
    /// The gates of a file; none when there is no file.
    ///
    /// # Errors
    /// [`FileError`]; a file that is not understood is no empty one.
    pub fn read(path: &Path) -> Result<Option<Self>, FileError> {
        let Some(text) = files::read_text(path)? else { return Ok(None) };
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(FileError::damaged(path, "it does not begin as a file of gates does"));
        }
        let read = |(number, line): (usize, &str)| {
            parse(line).ok_or_else(|| FileError::damaged(path, format!("line {}", number + 2)))
        };
        let gates = lines.enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let twice = |line: &GateLine| gates.iter().filter(|other| other.slot == line.slot).count() > 1;
        if gates.iter().any(twice) {
            return Err(FileError::damaged(path, "one slot is there twice"));
        }
        Ok(Some(Self(gates)))
    }

    /// Puts them into their file.
    ///
    /// # Errors
    /// [`FileError::System`]
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut text = Zeroizing::new(format!("{HEAD}\n"));
        for line in &self.0 {
            let expires = line.expires.map_or(0, |at| at.0);
            text.push_str(&format!("gate {} {} {expires} {} ", line.slot, line.made.0, line.name));
            text.push_str(&to_hex(line.gate.bytes()));
            text.push('\n');
        }
        files::replace(path, text.as_bytes())
    }

    /// The gates of a new node: the descriptor's, and one for everybody who is invited.
    #[must_use]
    pub fn fresh(now: UnixTime, rng: &mut dyn CryptoRng) -> Self {
        let mut gates = Self::default();
        gates.put(GateKeeper::LINK_GATE, "descriptor", None, now, rng);
        gates.put(SHARED, EVERYBODY, None, now, rng);
        gates
    }

    fn put(
        &mut self,
        slot: usize,
        name: &str,
        expires: Option<UnixTime>,
        now: UnixTime,
        rng: &mut dyn CryptoRng,
    ) {
        let line = GateLine { slot, made: now, expires, name: name.to_owned(), gate: Secret::random(rng) };
        self.0.retain(|held| held.slot != slot);
        self.0.push(line);
        self.0.sort_by_key(|line| line.slot);
    }

    /// All of them, by slot.
    #[must_use]
    pub fn lines(&self) -> &[GateLine] {
        &self.0
    }

    /// The gate of a slot.
    #[must_use]
    pub fn of_slot(&self, slot: usize) -> Option<&GateLine> {
        self.0.iter().find(|line| line.slot == slot)
    }

    /// A guest's own gate, made when there is none; `expires` then is the guest's.
    ///
    /// # Errors
    /// [`NoGate`]
    pub fn for_guest(
        &mut self,
        name: &str,
        expires: Option<UnixTime>,
        now: UnixTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<&GateLine, NoGate> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > NAME_MOST || !name.bytes().all(is_name) {
            return Err(NoGate::Name);
        }
        let free = |slot: &usize| self.of_slot(*slot).is_none();
        let slot = match self.0.iter().find(|line| line.name == name && line.slot > SHARED) {
            Some(line) => line.slot,
            None => (SHARED + 1..GateKeeper::SLOTS).find(free).ok_or(NoGate::Full)?,
        };
        if self.of_slot(slot).is_none() {
            self.put(slot, name, expires, now, rng);
        }
        self.of_slot(slot).ok_or(NoGate::Full)
    }

    /// Takes away a guest's gate, or changes the one of everybody: who has the old link is let in no more. False when
    /// there is no such guest.
    pub fn revoke(&mut self, name: &str, now: UnixTime, rng: &mut dyn CryptoRng) -> bool {
        if name == EVERYBODY {
            self.put(SHARED, EVERYBODY, None, now, rng);
            return true;
        }
        let before = self.0.len();
        self.0.retain(|line| line.name != name || line.slot <= SHARED);
        self.0.len() < before
    }

    /// Drops gates whose time is over. True when there were any.
    pub fn expire(&mut self, now: UnixTime) -> bool {
        let before = self.0.len();
        self.0.retain(|line| line.expires.is_none_or(|at| now <= at));
        self.0.len() < before
    }

    /// A keeper that admits through these.
    #[must_use]
    pub fn keeper(&self, rng: &mut dyn CryptoRng) -> GateKeeper {
        let mut keeper = GateKeeper::new(rng);
        for line in &self.0 {
            keeper.set(line.slot, line.gate.clone());
        }
        keeper
    }
}

fn parse(line: &str) -> Option<GateLine> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    if next()? != "gate" {
        return None;
    }
    let slot = next()?.parse().ok().filter(|slot| *slot < GateKeeper::SLOTS)?;
    let made = UnixTime(next()?.parse().ok()?);
    let expires = next()?.parse().ok().map(|at: u64| (at > 0).then_some(UnixTime(at)))?;
    let name = next()?.to_owned();
    let gate = Secret::from(*from_hex::<32>(next()?)?);
    words.next().is_none().then_some(GateLine { slot, made, expires, name, gate })
}

/// Bytes as hexadecimal digits, erased when dropped.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    text
}

/// The bytes of exactly so many hexadecimal digits.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    if text.len() != 2 * N {
        return None;
    }
    let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    for byte in bytes.iter_mut() {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance;
    use crate::keys::store::tests::Folder;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn gates_read_back_and_a_bent_file_is_refused() {
        let folder = Folder::new("gates");
        let path = folder.0.join("gates");
        assert!(Gates::read(&path).unwrap().is_none());
        let mut gates = Gates::fresh(NOW, &mut chance::rng());
        gates.for_guest("aunt", Some(NOW.plus(60)), NOW, &mut chance::rng()).unwrap();
        gates.write(&path).unwrap();
        let read = Gates::read(&path).unwrap().unwrap();
        let shown = |gates: &Gates| {
            gates.lines().iter().map(|l| (l.slot, l.expires, l.gate.bytes().to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(shown(&read), shown(&gates));
        let text = files::read_text(&path).unwrap().unwrap();
        for bent in [
            text.replace("gates 1", "gates 2"),
            text.replace("gate 1 ", "gate 16 "),
            text.replace("gate 1 ", "gate 0 "),
            text.trim_end().get(..text.len() - 3).unwrap().to_owned(),
            format!("{}x\n", text.trim_end()),
        ] {
            files::replace(&path, bent.as_bytes()).unwrap();
            assert!(matches!(Gates::read(&path), Err(FileError::Damaged { .. })), "{bent}");
        }
    }

    #[test]
    fn guests_have_gates_of_their_own_until_their_time_is_over_or_they_are_revoked() {
        let mut rng = chance::rng();
        let mut gates = Gates::fresh(NOW, &mut rng);
        let aunt = *gates.for_guest("aunt", Some(NOW.plus(9)), NOW, &mut rng).unwrap().gate.bytes();
        let again = *gates.for_guest("aunt", None, NOW, &mut rng).unwrap().gate.bytes();
        assert_eq!(aunt, again, "the same guest has the same gate");
        for n in 0..13 {
            gates.for_guest(&format!("guest-{n}"), None, NOW, &mut rng).unwrap();
        }
        assert_eq!(gates.for_guest("late", None, NOW, &mut rng).err(), Some(NoGate::Full));
        assert_eq!(gates.for_guest("a b", None, NOW, &mut rng).err(), Some(NoGate::Name));
        assert!(!gates.expire(NOW.plus(9)) && gates.expire(NOW.plus(10)));
        assert!(gates.for_guest("late", None, NOW, &mut rng).is_ok());
        let shared = *gates.of_slot(SHARED).unwrap().gate.bytes();
        assert!(gates.revoke(EVERYBODY, NOW, &mut rng) && gates.revoke("late", NOW, &mut rng));
        assert!(!gates.revoke("late", NOW, &mut rng) && !gates.revoke("descriptor", NOW, &mut rng));
        assert_ne!(shared, *gates.of_slot(SHARED).unwrap().gate.bytes());
    }
}
