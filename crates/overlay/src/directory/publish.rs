//! The directory's own work: it knows which wallets take part, asks their nodes who they are, and signs snapshots
//! (ovl1 section 3.2).
//!
//! One machine of a network publishes; with fewer keys than it takes, it leaves a draft that others sign and hand back.
//! Nodes come to it once an hour and are asked; what each said last is kept. Whoever is on the roll and has no place that
//! everybody may know stands in the snapshot as a member, by its address alone. Not here: what holds (`overlay-proto`).

mod roll;

use super::Book;
use super::library::{Library, LibraryError};
use crate::keys::files::{self, FileError};
use crate::{chance, time};
use bytes::Bytes;
use rand_core::Rng as _;
pub use roll::Roll;
use shoalway_overlay_proto::codec::Reader;
use shoalway_overlay_proto::descriptor::{DESCRIPTOR_MOST_BYTES, Descriptor};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{DELEGATION_BYTES, Delegation};
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::network::Network;
use shoalway_overlay_proto::snapshot::{Contents, Directory, Draft, NODES_MOST, SnapshotError, check_node};
use shoalway_overlay_proto::{Malformed, UnixTime};
use shoalway_types::wallet::Address;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A snapshot is published every hour.
const PERIOD_SECONDS: u64 = 3_600;
/// A node that nobody knows yet does not wait for the hour; others that come with it are waited for so long.
const GATHER: Duration = Duration::from_secs(2);
/// How often is looked whether the hour is over, or a draft was signed.
const LOOK: Duration = Duration::from_secs(20);

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network's file is not known.
    #[error("the network's file is not known")]
    NoNetwork,
    /// The contents do not make a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The snapshot was not taken.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A key is none of the network's.
    #[error("one of the directory's keys is not in the network's file")]
    Key,
}

/// What became of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is in use, under this number.
    New(u64),
    /// It waits for more signatures in this file.
    Draft(PathBuf),
}

/// The publisher of a network.
pub struct Publisher {
    library: Arc<Library>,
    keys: Vec<SecretKey>,
    roll_path: PathBuf,
    folder: PathBuf,
    affinity: String,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    roll: Roll,
    /// What each node said last: `delegation | descriptor v16`.
    entries: BTreeMap<Address, Bytes>,
}

impl Publisher {
    /// With these keys of the directory; `roll` is the file of those who take part, `folder` where the nodes' entries and
    /// drafts are kept.
    ///
    /// # Errors
    /// [`PublishError`]
    pub fn open(
        library: Arc<Library>,
        keys: Vec<SecretKey>,
        roll: &Path,
        folder: &Path,
        affinity: String,
    ) -> Result<Arc<Self>, PublishError> {
        files::make_folder(folder)?;
        let known =
            |network: &Network| keys.iter().all(|key| network.newest().terms().keys.contains(&key.public()));
        if !library.with_network(known).ok_or(PublishError::NoNetwork)? {
            return Err(PublishError::Key);
        }
        let mut state = State { roll: Roll::read(roll)?, entries: BTreeMap::new() };
        for path in files::list(folder, "0x", ".entry")? {
            let bytes = files::read(&path)?.unwrap_or_default();
            let (delegation, _) = parse_entry(&bytes).map_err(|error| FileError::damaged(&path, error))?;
            state.entries.insert(delegation.terms.node, Bytes::copy_from_slice(&bytes));
        }
        Ok(Arc::new(Self {
            library,
            keys,
            roll_path: roll.to_owned(),
            folder: folder.to_owned(),
            affinity,
            state: Mutex::new(state),
            news: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many take part, and how many of those have said who they are.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = self.state();
        (state.roll.wallets.len(), state.entries.len())
    }

    /// Takes what a node says of itself. It does not become part of a snapshot unless it is on the roll and holds.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn take(&self, node: Address, entry: &Bytes, now: UnixTime) -> Result<(), String> {
        let (delegation, descriptor) = parse_entry(entry).map_err(|error| error.to_string())?;
        if delegation.terms.node != node {
            return Err("it is another node's".to_owned());
        }
        let checked = self.library.with_network(|network| check_node(network, &delegation, descriptor, now));
        let checked = checked.ok_or("the network is not known")?.map_err(|error| error.to_string())?;
        let is_news =
            checked.descriptor().is_some_and(|descriptor| self.is_news(&delegation, descriptor, now));
        let mut state = self.state();
        if !state.roll.wallets.contains(&node) {
            return Err("it is not on the roll".to_owned());
        }
        if let Some(before) = state.entries.get(&node).and_then(|before| parse_entry(before).ok())
            && before.0.terms.serial > delegation.terms.serial
        {
            return Err("a later delegation of it is known".to_owned());
        }
        let kept = files::replace(&self.folder.join(format!("{node}.entry")), entry);
        state.entries.insert(node, entry.clone());
        drop(state);
        if is_news {
            self.news.notify_one();
        }
        kept.map_err(|error| error.to_string())
    }

    /// Whether the snapshot in use says something else of a node than it says itself, but for its age.
    fn is_news(&self, delegation: &Delegation, descriptor: &Descriptor, now: UnixTime) -> bool {
        if descriptor.endpoints.is_empty() {
            return !self.library.admits(&descriptor.node, now);
        }
        let Some(directory) = self.library.directory() else { return true };
        directory.lookup(&descriptor.node, now).is_none_or(|listed| {
            let of =
                |one: &Descriptor| (one.link_key, one.link_gate, one.endpoints.clone(), one.policy.clone());
            listed.terms.serial != delegation.terms.serial || of(listed.descriptor) != of(descriptor)
        })
    }

    /// Builds the next snapshot and signs it with the keys that are here.
    ///
    /// # Errors
    /// [`PublishError`]; what is in use stays.
    pub fn publish(&self, now: UnixTime) -> Result<Published, PublishError> {
        let before = self.library.newest_header();
        // Two snapshots are a second apart at least, whatever the clock did.
        let after = before.as_ref().map_or(0, |header| header.header.published.0 + 1);
        let published = UnixTime(now.0.max(after));
        let contents = self.contents(published)?;
        let draft = self.library.with_network(|network| {
            let mut draft =
                Draft::new(network, before.as_ref().map(|header| &header.header), published, contents)?;
            let signed = self.keys.iter().all(|key| draft.sign(network, key));
            Ok::<_, PublishError>(if signed { Some((draft.is_complete(network), draft)) } else { None })
        });
        match draft.ok_or(PublishError::NoNetwork)?? {
            None => Err(PublishError::Key),
            Some((true, draft)) => self.put_in_use(&draft, now),
            Some((false, draft)) => {
                let path = self.draft_path();
                files::replace(&path, &draft.encode())?;
                Ok(Published::Draft(path))
            }
        }
    }

    /// Puts a draft in use that others have signed meanwhile. None: there is none, or it lacks signatures.
    ///
    /// # Errors
    /// [`PublishError`]
    pub fn look_at_draft(&self, now: UnixTime) -> Result<Option<Published>, PublishError> {
        let path = self.draft_path();
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        let draft = self.library.with_network(|network| {
            let draft = Draft::parse(&bytes, network)?;
            Ok::<_, SnapshotError>(draft.is_complete(network).then_some(draft))
        });
        let Some(draft) = draft.ok_or(PublishError::NoNetwork)?? else { return Ok(None) };
        let published = self.put_in_use(&draft, now)?;
        files::erase(&path)?;
        Ok(Some(published))
    }

    fn put_in_use(&self, draft: &Draft, now: UnixTime) -> Result<Published, PublishError> {
        self.library.learn_snapshot(&draft.encode().into(), &[], now)?;
        Ok(Published::New(draft.header().header.number))
    }

    fn draft_path(&self) -> PathBuf {
        self.folder.join("draft")
    }

    fn contents(&self, published: UnixTime) -> Result<Contents, PublishError> {
        let roll = Roll::read(&self.roll_path)?;
        let mut state = self.state();
        state.roll = roll;
        let mut contents = Contents { affinity: self.affinity.clone(), ..Contents::default() };
        for (node, withdrawal) in &state.roll.withdrawn {
            contents.nodes.push((withdrawal.clone(), Vec::new()));
            tracing::debug!(node = %shoalway_types::Sensitive(node), "withdrawn");
        }
        for node in &state.roll.wallets {
            let listed = state.entries.get(node).and_then(|entry| {
                let (delegation, descriptor) = parse_entry(entry).ok()?;
                let check = |network: &Network| check_node(network, &delegation, descriptor, published).ok();
                let checked = self.library.with_network(check)??;
                let has_place = checked.descriptor().is_some_and(|said| !said.endpoints.is_empty());
                has_place.then(|| (delegation, descriptor.to_vec()))
            });
            match listed {
                Some(entry) if contents.nodes.len() < NODES_MOST => contents.nodes.push(entry),
                Some(_) | None => contents.members.push(*node),
            }
        }
        Ok(contents)
    }

    /// Publishes every hour, and soon when there is somebody new, as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let published = match self.look_at_draft(time::unix_now()) {
                Ok(None) if self.is_due(time::unix_now()) => self.publish(time::unix_now()).map(Some),
                other => other,
            };
            match published {
                Ok(Some(Published::New(number))) => tracing::info!(number, "a snapshot was published"),
                Ok(Some(Published::Draft(path))) => {
                    tracing::warn!(path = %path.display(), "a snapshot waits for signatures: `shoalway network sign`");
                    // Signers need time, and what they sign must stay.
                    tokio::time::sleep(LOOK).await;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no snapshot was published"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.news.notified() => {
                    tokio::time::sleep(GATHER + Duration::from_millis(chance::rng().next_u64() % 250)).await;
                    if let Err(error) = self.publish(time::unix_now()) {
                        tracing::warn!(%error, "no snapshot was published");
                    }
                }
            }
        }
    }

    /// Whether the hour is over. A draft that waits is replaced after an hour too.
    fn is_due(&self, now: UnixTime) -> bool {
        let newest = self.library.newest_header().map(|header| header.header.published);
        let waits = files::read(&self.draft_path()).ok().flatten();
        let draft = waits.and_then(|bytes| {
            self.library.with_network(|network| {
                Draft::parse(&bytes, network).ok().map(|draft| draft.header().header.published)
            })?
        });
        let last = newest.into_iter().chain(draft).max();
        last.is_none_or(|last| last.plus(PERIOD_SECONDS) <= now)
    }
}

impl Book for Publisher {
    fn directory(&self) -> Option<Arc<Directory>> {
        self.library.directory()
    }

    fn answer(&self, kind: DirKind, number: u64) -> Bytes {
        self.library.answer(kind, number)
    }

    fn admits(&self, node: &Address, now: UnixTime) -> bool {
        self.library.admits(node, now) || self.state().roll.wallets.contains(node)
    }

    fn collects(&self) -> bool {
        true
    }

    fn collect(&self, node: Address, entry: Bytes) {
        if let Err(why) = self.take(node, &entry, time::unix()) {
            tracing::warn!(node = %shoalway_types::Sensitive(&node), why, "a node's descriptor was not taken");
        }
    }
}

/// Takes `delegation | descriptor v16` apart.
///
/// # Errors
/// When it is no such thing, to the last byte.
pub fn parse_entry(bytes: &[u8]) -> Result<(Delegation, &[u8]), Malformed> {
    let mut reader = Reader::new(bytes);
    let delegation = Delegation::parse(&reader.array::<DELEGATION_BYTES>("delegation")?)?;
    let descriptor = reader.v16(DESCRIPTOR_MOST_BYTES, "descriptor")?;
    reader.finish()?;
    Ok((delegation, descriptor))
}

#[cfg(test)]
mod tests;
