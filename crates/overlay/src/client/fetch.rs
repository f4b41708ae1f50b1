//! The directory, as a client comes by it: whole, through an entry, at moments nobody can foretell (section 3.2).
//!
//! What an exit says of its directory is compared with one's own; two signed things under one number are proof of a fork,
//! and the end of trust in the directory. Not here: what holds (`overlay-proto`), where it is kept (`directory`).

use super::circuits::NoCircuit;
use super::home::Home;
use super::links::{EntryLink, NoLink};
use crate::chance;
use crate::directory::{Book as _, LibraryError};
use crate::time;
use bytes::Bytes;
use rand_core::Rng as _;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::chain::{Claim, Proof};
use shoalway_overlay_proto::circuit::terms::Destination;
use shoalway_overlay_proto::codec::Reader;
use shoalway_overlay_proto::descriptor::{
    DESCRIPTOR_MOST_BYTES, Descriptor, DescriptorChecks, SignedDescriptor,
};
use shoalway_overlay_proto::identity::{Delegation, Roles};
use shoalway_overlay_proto::link::dir::{DirGet, DirKind};
use shoalway_overlay_proto::link::terms::{Code, NotTaken};
use shoalway_overlay_proto::path::Entries;
use shoalway_overlay_proto::snapshot::Age;
use shoalway_types::wallet::Address;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A delegation's bytes.
const DELEGATION: usize = 143;
/// A fetch is due 6 to 12 h after the last one.
const LEAST: u64 = 6 * 3_600;
const MORE: u64 = 6 * 3_600;
/// An old directory is asked for again every 5 minutes, by half.
const RETRY: u64 = 300;
/// How long an exit may take to show its directory.
const ANSWER: Duration = Duration::from_secs(20);
/// The file of the kept entries.
const ENTRIES: &str = "entries.toml";

/// Why the directory was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// No entry.
    #[error(transparent)]
    Link(#[from] NoLink),
    /// The entry is busy with another question, or went away.
    #[error("the entry did not answer")]
    NoAnswer,
    /// The entry has none.
    #[error("the entry has no directory")]
    Empty,
    /// What came does not hold.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl From<NotTaken> for FetchFault {
    fn from(_: NotTaken) -> Self {
        Self::NoAnswer
    }
}

impl Home {
    /// Fetches what is newer: the network's files, the headers, the snapshot.
    pub(super) async fn fetch(&self) -> Result<(), FetchFault> {
        // One at a time: whoever comes second finds what the first has brought.
        let _one = self.fetching.lock().await;
        if self.directory().is_some() && !self.is_due() {
            return Ok(());
        }
        self.plan_next(RETRY / 2 + chance::rng().next_u64() % RETRY);
        let link = self.links.any().await?;
        let library = &self.shared.plan.library;
        let files = link.ask(DirKind::Networks, u64::from(library.version()) + 1).await?;
        library.learn_networks(&files)?;
        let headers = match library.directory() {
            Some(_) => link.ask(DirKind::Headers, library.headers_from()).await?,
            None => Bytes::new(),
        };
        let snapshot = link.ask(DirKind::Snapshot, 0).await?;
        if snapshot.is_empty() {
            return Err(FetchFault::Empty);
        }
        library.learn_snapshot(&snapshot, &headers, time::unix())?;
        self.plan_after_fetch();
        Ok(())
    }

    /// The next one is hours away, unless the directory has no exit of use: a network that begins will have one soon.
    fn plan_after_fetch(&self) {
        let wish = &self.shared.plan.exits;
        if self.candidates().iter().any(|candidate| wish.fits(candidate)) {
            self.without_exit.set(0);
            return self.plan_next(LEAST + chance::rng().next_u64() % MORE);
        }
        let times = self.without_exit.get();
        self.without_exit.set(times.saturating_add(1));
        self.plan_next(pause_without_exit(times));
    }

    /// The same, when it is time.
    pub(super) async fn fetch_if_due(&self) -> Result<(), FetchFault> {
        let age = self.shared.plan.library.directory().map(|directory| directory.age(time::unix()));
        match age {
            Some(Age::Normal | Age::Future) if !self.is_due() => Ok(()),
            Some(_) if !self.is_due() => Ok(()),
            Some(_) | None => self.fetch().await,
        }
    }

    fn is_due(&self) -> bool {
        self.fetch_at.get().is_none_or(|at| tokio::time::Instant::now() >= at)
    }

    fn plan_next(&self, seconds: u64) {
        self.fetch_at.set(Some(tokio::time::Instant::now() + Duration::from_secs(seconds)));
    }

    /// Asks an entry who it is: its delegation and its descriptor, which stand in no snapshot.
    pub(super) async fn ask_entry(&self, link: &Rc<EntryLink>) -> Result<(Roles, Descriptor), NoCircuit> {
        let body = link
            .ask(DirKind::Own, 0)
            .await
            .map_err(|_gone| NoCircuit::Path("the entry did not say who it is"))?;
        let mut reader = Reader::new(&body);
        let no_entry = "what the entry says of itself does not hold";
        let delegation =
            reader.take(DELEGATION, "delegation").map_err(|_malformed| NoCircuit::Path(no_entry))?;
        let descriptor = reader
            .v16(DESCRIPTOR_MOST_BYTES, "descriptor")
            .map_err(|_malformed| NoCircuit::Path(no_entry))?;
        let (network, now) = (*self.shared.plan.library.id(), time::unix());
        let delegation = Delegation::parse(delegation).map_err(|_malformed| NoCircuit::Path(no_entry))?;
        let verified = delegation.check(&network, now).map_err(|_held| NoCircuit::Path(no_entry))?;
        let checks = DescriptorChecks {
            network: &network,
            lab: self.shared.plan.library.is_lab(),
            delegation: verified.terms(),
            now,
        };
        let descriptor = SignedDescriptor::parse(descriptor)
            .and_then(|signed| signed.check(&checks))
            .map_err(|_held| NoCircuit::Path(no_entry))?;
        if descriptor.node != link.node {
            return Err(NoCircuit::Path(no_entry));
        }
        Ok((verified.terms().roles, descriptor))
    }

    /// An exit has said which directory it has. One that is newer than ours, or is not ours, is looked into.
    pub(super) fn compare(self: Rc<Self>, shard: &Rc<Shard>, exit: Address, said: (u64, [u8; 32])) {
        let Some(own) = self.shared.plan.library.directory() else { return };
        let (number, hash) = own.number_and_hash();
        if said.0 == 0 || said.0 < number || said == (number, hash) || self.proven.get() == Some(said) {
            return;
        }
        // Looking into it takes a circuit, whose exit says the same again.
        if self.looked_into.borrow_mut().insert(exit, said) == Some(said) {
            return;
        }
        let tasks = shard.tasks().clone();
        tasks.spawn(async move { self.look_into(exit, said).await });
    }

    /// Writes the kept entries down, where that is wanted.
    pub(super) fn write_down(&self, entries: &Entries) -> Result<(), String> {
        let Some(folder) = &self.shared.plan.state else { return Ok(()) };
        write_entries(folder, entries)
            .map_err(|error| format!("the kept entries cannot be written down: {error}"))
    }
}

impl Home {
    /// Has an exit prove, through its own circuit, what it says of the directory.
    async fn look_into(&self, exit: Address, said: (u64, [u8; 32])) {
        let library = &self.shared.plan.library;
        let from = match library.claim(said.0, &said.1) {
            Claim::Known | Claim::Behind => return,
            Claim::Ahead { from } | Claim::Contradicts { from } => from,
        };
        let Ok(headers) = self.headers_of(exit, from).await else { return };
        match library.judge(said.0, &said.1, &headers) {
            // It is fetched in its time, which nobody can foretell.
            Some(Proof::Follows) => self.proven.set(Some(said)),
            Some(Proof::Forked(_)) => {
                let trouble = LibraryError::Forked.to_string();
                self.shared.board.write(|status| status.trouble = Some(trouble));
            }
            Some(Proof::Unproven(_) | Proof::NotClaimed) => self.failed(exit),
            None => {}
        }
    }

    async fn headers_of(&self, exit: Address, from: u64) -> Result<Vec<u8>, NoCircuit> {
        let circuit = Box::pin(self.make(exit)).await?;
        let no_answer = NoCircuit::Path("the exit does not show its directory");
        let opened = tokio::time::timeout(ANSWER, circuit.port.open(Destination::Directory)).await;
        let Ok(Ok(mut stream)) = opened else {
            circuit.port.close(Code::Done);
            return Err(no_answer);
        };
        stream.ask_directory(DirGet { kind: DirKind::Headers, number: from });
        let answer = tokio::time::timeout(ANSWER, stream.directory_answer()).await;
        drop(stream);
        circuit.port.close(Code::Done);
        answer.ok().flatten().map(|body| body.to_vec()).ok_or(no_answer)
    }
}

/// Seconds till a directory without an exit of use is fetched again: few at first, and then no more than an entry answers,
/// which is 60 questions an hour.
fn pause_without_exit(times: u32) -> u64 {
    RETRY.min(15 << times.min(8))
}

/// The entries of before, if any were written down.
///
/// # Errors
/// The file is there and cannot be read: the client does not start with other entries instead.
pub fn read_entries(folder: &Path) -> io::Result<Entries> {
    let path = folder.join(ENTRIES);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::default()),
        Err(error) => return Err(error),
    };
    Entries::from_text(&text).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Writes the list whole or not at all, readable by nobody else.
fn write_entries(folder: &Path, entries: &Entries) -> io::Result<()> {
    let (path, fresh) = (folder.join(ENTRIES), folder.join(format!("{ENTRIES}.new")));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(entries.to_text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_exits_is_asked_for_again_soon_and_not_too_often() {
        let pauses: Vec<u64> = (0..12).map(pause_without_exit).collect();
        assert_eq!(pauses[..6], [15, 30, 60, 120, 240, 300]);
        let hour = pauses
            .iter()
            .scan(0, |at, pause| {
                *at += pause;
                Some(*at)
            })
            .filter(|at| *at <= 3_600)
            .count();
        assert!(hour * 3 <= 60, "{hour} fetches of three questions in the first hour");
    }
}
