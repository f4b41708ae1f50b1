//! A node's keys in its folder: one file for each key, so that a key can be erased.
//!
//! `kem-MADE.key` and `link-MADE.key` hold one secret each, MADE in Unix seconds; `gates` who is let in; `seq` the number
//! of the newest descriptor. Blocking: never on a shard. Not here: which are due (`rotation`).

use super::files::{self, FileError};
use super::gates::{Gates, from_hex, to_hex};
use super::rotation::is_from_future;
use rand_core::CryptoRng;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::create::{CreateKey, KemKeys};
use shoalway_overlay_proto::descriptor::{KEM_ACCEPTED_SECONDS, KemOffer};
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::opener::LinkKeyPair;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key for circuits.
pub struct StoredKem {
    /// When it was made.
    pub made: UnixTime,
    seed: Secret,
    /// What descriptors say of it.
    pub offer: KemOffer,
}

/// A key for links.
pub struct StoredLink {
    /// When it was made.
    pub made: UnixTime,
    /// The pair.
    pub pair: LinkKeyPair,
}

/// The folder, and what stands in it.
pub struct KeyStore {
    folder: PathBuf,
    /// Keys for circuits, oldest first.
    pub kems: Vec<StoredKem>,
    /// Keys for links, oldest first.
    pub links: Vec<StoredLink>,
    /// Who is let in.
    pub gates: Gates,
    seq: u64,
}

impl KeyStore {
    /// Reads the folder; makes it, and the gates in it, when they are not there.
    ///
    /// # Errors
    /// [`FileError`] names the file that cannot be used.
    pub fn open(folder: &Path, now: UnixTime, rng: &mut dyn CryptoRng) -> Result<Self, FileError> {
        files::make_folder(folder)?;
        let mut store = Self {
            folder: folder.to_owned(),
            kems: Vec::new(),
            links: Vec::new(),
            gates: Gates::default(),
            seq: 0,
        };
        for path in files::list(folder, "kem-", ".key")? {
            let (made, secret) = read_secret(&path, "kem-", now)?;
            store.kems.push(kem(&path, made, secret, rng)?);
        }
        for path in files::list(folder, "link-", ".key")? {
            let (made, secret) = read_secret(&path, "link-", now)?;
            store.links.push(link(&path, made, &secret)?);
        }
        store.kems.sort_by_key(|key| key.made);
        store.links.sort_by_key(|key| key.made);
        store.seq = read_seq(&folder.join("seq"))?;
        store.gates = match Gates::read(&store.gates_path())? {
            Some(gates) => gates,
            None => {
                let gates = Gates::fresh(now, rng);
                gates.write(&store.gates_path())?;
                gates
            }
        };
        Ok(store)
    }

    /// Where the gates are.
    #[must_use]
    pub fn gates_path(&self) -> PathBuf {
        self.folder.join("gates")
    }

    /// Makes a key for circuits.
    ///
    /// # Errors
    /// [`FileError`]; nothing has changed.
    pub fn make_kem(&mut self, now: UnixTime, rng: &mut dyn CryptoRng) -> Result<(), FileError> {
        let (path, seed) = (self.path("kem", now), Secret::random(rng));
        let made = kem(&path, now, seed.clone(), rng)?;
        files::create(&path, line(&seed).as_bytes())?;
        self.kems.push(made);
        Ok(())
    }

    /// Makes a key for links.
    ///
    /// # Errors
    /// [`FileError`]; nothing has changed.
    pub fn make_link(&mut self, now: UnixTime, rng: &mut dyn CryptoRng) -> Result<(), FileError> {
        let (path, secret) = (self.path("link", now), Secret::random(rng));
        let made = link(&path, now, &secret)?;
        files::create(&path, line(&secret).as_bytes())?;
        self.links.push(made);
        Ok(())
    }

    /// Erases the keys that were made at these times, in memory and on disk.
    ///
    /// # Errors
    /// [`FileError`]; a key that cannot be erased is not used either.
    pub fn erase(&mut self, kems: &[UnixTime], links: &[UnixTime]) -> Result<(), FileError> {
        self.kems.retain(|key| !kems.contains(&key.made));
        self.links.retain(|key| !links.contains(&key.made));
        let kems = kems.iter().map(|made| self.path("kem", *made));
        let links = links.iter().map(|made| self.path("link", *made));
        kems.chain(links).try_for_each(|path| files::erase(&path))
    }

    /// Reads the gates again, which another program may have changed. False when nothing has.
    ///
    /// # Errors
    /// [`FileError`]; the gates stay as they were.
    pub fn look_at_gates(&mut self, now: UnixTime) -> Result<bool, FileError> {
        let path = self.gates_path();
        let Some(mut gates) = Gates::read(&path)? else { return Ok(false) };
        if gates.expire(now) {
            gates.write(&path)?;
        }
        let shape = |gates: &Gates| -> Vec<(usize, [u8; 32])> {
            gates.lines().iter().map(|line| (line.slot, *line.gate.bytes())).collect()
        };
        let changed = shape(&gates) != shape(&self.gates);
        self.gates = gates;
        Ok(changed)
    }

    /// The number of the next descriptor, which is written down before it is used. It is at least the time, so that a
    /// node whose folder was lost is still ahead of itself.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn next_seq(&mut self, now: UnixTime) -> Result<u64, FileError> {
        let next = self.seq.saturating_add(1).max(now.0);
        files::replace(&self.folder.join("seq"), format!("{next}\n").as_bytes())?;
        self.seq = next;
        Ok(next)
    }

    /// Puts all keys for circuits into what the shards hold, those it has already with what was seen under them.
    ///
    /// # Errors
    /// [`FileError::Damaged`] when a key is none.
    pub fn fill(
        &self,
        held: &mut KemKeys,
        known: &mut Vec<UnixTime>,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), FileError> {
        for key in self.kems.iter().filter(|key| !known.contains(&key.made)) {
            let not_after = key.made.plus(KEM_ACCEPTED_SECONDS);
            let made = CreateKey::new(&key.seed, not_after, rng);
            held.insert(made.map_err(|error| FileError::damaged(&self.path("kem", key.made), error))?);
        }
        *known = self.kems.iter().map(|key| key.made).collect();
        Ok(())
    }

    fn path(&self, kind: &str, made: UnixTime) -> PathBuf {
        self.folder.join(format!("{kind}-{}.key", made.0))
    }
}

fn line(secret: &Secret) -> Zeroizing<String> {
    let mut text = to_hex(secret.bytes());
    text.push('\n');
    text
}

fn read_secret(path: &Path, begin: &str, now: UnixTime) -> Result<(UnixTime, Secret), FileError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(".key"));
    let made = digits.and_then(|digits| digits.parse().ok()).map(UnixTime);
    let made = made.ok_or_else(|| FileError::damaged(path, "its name does not say when it was made"))?;
    if is_from_future(&[made], now) {
        return Err(FileError::Future { path: path.to_owned() });
    }
    let text = files::read_text(path)?.unwrap_or_default();
    let secret = from_hex::<32>(text.trim_end());
    let secret = secret.ok_or_else(|| FileError::damaged(path, "it is not one line of 64 digits"))?;
    Ok((made, Secret::from(*secret)))
}

fn read_seq(path: &Path) -> Result<u64, FileError> {
    let Some(text) = files::read_text(path)? else { return Ok(0) };
    text.trim_end().parse().map_err(|_digits| FileError::damaged(path, "it is not a number"))
}

fn kem(path: &Path, made: UnixTime, seed: Secret, rng: &mut dyn CryptoRng) -> Result<StoredKem, FileError> {
    let key = CreateKey::new(&seed, made.plus(KEM_ACCEPTED_SECONDS), rng)
        .map_err(|error| FileError::damaged(path, error))?;
    let public = Box::new(*key.secret().public().bytes());
    Ok(StoredKem { made, seed, offer: KemOffer { not_before: made, key: public } })
}

fn link(path: &Path, made: UnixTime, secret: &Secret) -> Result<StoredLink, FileError> {
    let pair = LinkKeyPair::from_secret(secret).map_err(|error| FileError::damaged(path, error))?;
    Ok(StoredLink { made, pair })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::chance;
    use std::fs;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    /// A folder for one test, removed with this value.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("shoalway-overlay-{}-{name}", std::process::id()));
            drop(fs::remove_dir_all(&path)); // of a run that was killed
            files::make_folder(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0)); // nothing depends on it any more
        }
    }

    #[test]
    fn keys_read_back_with_their_ages() {
        let folder = Folder::new("store");
        let mut rng = chance::rng();
        let mut store = KeyStore::open(&folder.0, NOW, &mut rng).unwrap();
        store.make_kem(NOW, &mut rng).unwrap();
        store.make_kem(NOW.plus(5), &mut rng).unwrap();
        store.make_link(NOW, &mut rng).unwrap();
        assert_eq!((store.next_seq(NOW).unwrap(), store.next_seq(NOW).unwrap()), (NOW.0, NOW.0 + 1));
        let again = KeyStore::open(&folder.0, NOW, &mut rng).unwrap();
        let ids =
            |store: &KeyStore| store.kems.iter().map(|key| (key.made, key.offer.id())).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&store));
        assert_eq!(again.links[0].pair.public(), store.links[0].pair.public());
        assert_eq!(again.seq, NOW.0 + 1);
        assert_eq!(again.gates.lines().len(), 2);
    }

    #[test]
    fn an_erased_key_is_nowhere() {
        let folder = Folder::new("store-erase");
        let mut rng = chance::rng();
        let mut store = KeyStore::open(&folder.0, NOW, &mut rng).unwrap();
        store.make_kem(NOW, &mut rng).unwrap();
        store.make_kem(NOW.plus(5), &mut rng).unwrap();
        store.erase(&[NOW], &[]).unwrap();
        assert_eq!(store.kems.len(), 1);
        let left = files::list(&folder.0, "kem-", ".key").unwrap();
        assert_eq!(left, [folder.0.join(format!("kem-{}.key", NOW.0 + 5))]);
    }

    #[test]
    fn a_state_that_is_not_understood_names_its_file() {
        let name = format!("kem-{}.key", NOW.0);
        let late = format!("link-{}.key", NOW.0 + 601);
        let digits = "ab".repeat(32);
        for (file, content, wanted) in [
            (name.as_str(), "xyz\n", "is not as it was written"),
            ("kem-x.key", digits.as_str(), "is not as it was written"),
            (late.as_str(), digits.as_str(), "is from the future"),
            ("seq", "minus one\n", "is not as it was written"),
            ("gates", "shoalway gates 9\n", "is not as it was written"),
        ] {
            let folder = Folder::new("store-bent");
            files::create(&folder.0.join(file), content.as_bytes()).unwrap();
            let error = KeyStore::open(&folder.0, NOW, &mut chance::rng()).err().unwrap().to_string();
            assert!(error.contains(wanted) && error.contains(file), "{file}: {error}");
        }
    }
}
