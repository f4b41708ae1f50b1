//! What was learned of a network: the versions of its file, the chain of its snapshots, what was taken back.
//!
//! One for a process. Whatever is learned is checked against what was known; nothing unsigned, stale or forked gets in,
//! and after a fork nothing is given out any more. All headers are kept, so that somebody who was away for long finds the
//! way from what he knows. Not here: fetching (`client`, `refresh`), files on disk (`shelf`).

use super::Book;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use shoalway_overlay_proto::chain::{Chain, Claim, Fork, KEPT_HEADERS, Proof, Refusal, Verdict};
use shoalway_overlay_proto::codec::{Put, Reader};
use shoalway_overlay_proto::identity::Revocations;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::network::{Network, NetworkError};
use shoalway_overlay_proto::snapshot::{Age, Directory, SignedHeader, Snapshot, SnapshotError};
use shoalway_overlay_proto::{Malformed, UnixTime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Longest network file in an answer.
const FILE_MOST: usize = 64 << 10;
/// Longest header with its signatures.
const HEADER_MOST: usize = 4 << 10;

/// Headers that are remembered for others: more than two years of them.
const ARCHIVE_MOST: usize = 20_000;
/// What an answer of headers stays below.
const HEADERS_ANSWER: usize = 7 << 20;

/// Why something was not learned.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The network's file is not known yet.
    #[error("the network's file is not known yet")]
    NoNetwork,
    /// What came is not what was asked for.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A network file that does not hold.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A snapshot that does not hold.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A snapshot that does not follow what is known.
    #[error("the snapshot does not follow the one that is known: {0}")]
    Refused(Refusal),
    /// The directory's keys signed two things under one number.
    #[error("O201: the directory has forked: its keys signed two different snapshots of one number")]
    Forked,
}

/// What came of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It is in use now.
    New,
    /// It was known.
    Same,
}

/// What is known; see the module.
pub struct Library {
    id: [u8; 32],
    state: Mutex<State>,
    current: ArcSwapOption<Directory>,
    changed: watch::Sender<u64>,
    touched: watch::Sender<u64>,
}

/// All that a library knows, as it is kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The versions of the network's file, from the first.
    pub networks: Vec<String>,
    /// The chain.
    pub chain: Vec<u8>,
    /// Headers with their signatures, by number.
    pub headers: BTreeMap<u64, Bytes>,
    /// The newest snapshot; empty: there is none.
    pub snapshot: Bytes,
    /// Which delegations were seen.
    pub revocations: Vec<u8>,
    /// The proof of a fork, and the number it is about.
    pub fork: Option<(u64, Vec<u8>)>,
}

/// Why a library that was kept cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadShelf {
    /// A part does not hold.
    #[error("the {part} is not as it was written: {why}")]
    Damaged {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The snapshot was published by a clock that is ahead.
    #[error("the snapshot is from the future: is the clock of this computer right?")]
    Future,
}

impl BadShelf {
    fn damaged(part: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |why| Self::Damaged { part, why: why.to_string() }
    }
}

struct State {
    network: Option<Network>,
    chain: Chain,
    revocations: Revocations,
    snapshot: Bytes,
    archive: BTreeMap<u64, Bytes>,
}

impl State {
    /// Remembers the headers of the chain for those who come later.
    fn file_headers(&mut self) {
        let Some(newest) = self.chain.newest().map(|header| header.header.number) else { return };
        let known = self.archive.keys().next_back().copied().unwrap_or(0);
        let first = known.saturating_add(1).max(newest.saturating_sub(KEPT_HEADERS as u64));
        for number in first..=newest {
            if let Some(header) = self.chain.header(number) {
                self.archive.insert(number, header.encode().into());
            }
        }
        while self.archive.len() > ARCHIVE_MOST {
            self.archive.pop_first();
        }
    }
}

impl Library {
    /// Knows the network's name and nothing else.
    #[must_use]
    pub fn new(id: [u8; 32]) -> Self {
        let state = State {
            network: None,
            chain: Chain::new(id),
            revocations: Revocations::new(),
            snapshot: Bytes::new(),
            archive: BTreeMap::new(),
        };
        Self {
            id,
            state: Mutex::new(state),
            current: ArcSwapOption::empty(),
            changed: watch::channel(0).0,
            touched: watch::channel(0).0,
        }
    }

    /// Knows what was kept, all of which is checked again.
    ///
    /// # Errors
    /// [`BadShelf`]: what cannot be read is no empty library.
    pub fn restore(id: [u8; 32], kept: &Kept, now: UnixTime) -> Result<Self, BadShelf> {
        let library = Self::new(id);
        if kept.networks.is_empty() {
            return Ok(library);
        }
        for file in &kept.networks {
            let learned = library.learn_network_file(file.as_bytes());
            learned.map_err(|error| BadShelf::damaged("network file")(&error))?;
        }
        {
            let mut state = library.state();
            let state = &mut *state;
            let Some(network) = state.network.as_ref() else { return Ok(Self::new(id)) };
            if !kept.chain.is_empty() {
                let chain = Chain::parse(&kept.chain, network);
                state.chain = chain.map_err(|error| BadShelf::damaged("chain")(&error))?;
            }
            if !kept.revocations.is_empty() {
                let revocations = Revocations::parse(&kept.revocations, &id);
                state.revocations =
                    revocations.map_err(|error| BadShelf::damaged("list of revocations")(&error))?;
            }
            state.archive.clone_from(&kept.headers);
            if !kept.snapshot.is_empty() && state.chain.fork().is_none() {
                let snapshot = Snapshot::parse(&kept.snapshot, network, None);
                let snapshot = snapshot.map_err(|error| BadShelf::damaged("snapshot")(&error))?;
                let newest = state.chain.newest().map(|header| header.header.hash());
                if newest != Some(snapshot.header().header.hash()) {
                    return Err(BadShelf::damaged("snapshot")(&"it is not the newest of the chain"));
                }
                if Age::of(snapshot.published(), now) == Age::Future {
                    return Err(BadShelf::Future);
                }
                state.snapshot = kept.snapshot.clone();
                let directory = Directory::new(snapshot, &mut state.revocations, now);
                library.changed.send_replace(directory.number_and_hash().0);
                library.current.store(Some(Arc::new(directory)));
            }
            state.file_headers();
        }
        Ok(library)
    }

    /// All that is known, to be kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let state = self.state();
        let files = |network: &Network| network.files_from(1).map(|file| file.encode()).collect();
        Kept {
            networks: state.network.as_ref().map(files).unwrap_or_default(),
            chain: state.chain.encode(),
            headers: state.archive.clone(),
            snapshot: state.snapshot.clone(),
            revocations: state.revocations.encode(&self.id),
            fork: state.chain.fork().map(|fork| (fork.number(), fork.encode())),
        }
    }

    /// Told when anything was learned that is to be kept.
    #[must_use]
    pub fn touched(&self) -> watch::Receiver<u64> {
        self.touched.subscribe()
    }

    /// The newest header in use.
    #[must_use]
    pub fn newest_header(&self) -> Option<SignedHeader> {
        self.state().chain.newest().cloned()
    }

    fn touch(&self) {
        self.touched.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network's name.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Whether the network is a lab; false while its file is not known.
    #[must_use]
    pub fn is_lab(&self) -> bool {
        self.state().network.as_ref().is_some_and(Network::is_lab)
    }

    /// The newest version of the network's file that is known; 0: none.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.state().network.as_ref().map_or(0, |network| network.newest().terms().version)
    }

    /// Works with the network's file, if it is known.
    pub fn with_network<T>(&self, work: impl FnOnce(&Network) -> T) -> Option<T> {
        self.state().network.as_ref().map(work)
    }

    /// From which number on headers are wanted.
    #[must_use]
    pub fn headers_from(&self) -> u64 {
        self.state().chain.fetch_from()
    }

    /// The fork that was found, if any.
    #[must_use]
    pub fn fork(&self) -> Option<Fork> {
        self.state().chain.fork().cloned()
    }

    /// Told when another directory is in use: its number.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What an exit's word about its directory means.
    #[must_use]
    pub fn claim(&self, number: u64, hash: &[u8; 32]) -> Claim {
        self.state().chain.claim(number, hash)
    }

    /// What the headers prove that an exit showed. None: they are none.
    #[must_use]
    pub fn judge(&self, number: u64, hash: &[u8; 32], headers: &[u8]) -> Option<Proof> {
        let headers = read_headers(headers).ok()?;
        let mut state = self.state();
        let State { network, chain, .. } = &mut *state;
        let proof = chain.judge(network.as_ref()?, number, hash, &headers);
        if matches!(proof, Proof::Forked(_)) {
            self.current.store(None);
        }
        Some(proof)
    }

    /// Takes one network file: the first, or the next version.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing has changed.
    pub fn learn_network_file(&self, file: &[u8]) -> Result<(), LibraryError> {
        let mut state = self.state();
        match &mut state.network {
            None => state.network = Some(Network::pinned(&self.id, file)?),
            Some(network) => network.follow(file)?,
        }
        self.touch();
        Ok(())
    }

    /// Takes the answer to [`DirKind::Networks`]: files from the version that was asked for.
    ///
    /// # Errors
    /// [`LibraryError`]; what stood before the fault was taken.
    pub fn learn_networks(&self, answer: &[u8]) -> Result<(), LibraryError> {
        let mut reader = Reader::new(answer);
        while !reader.rest().is_empty() {
            self.learn_network_file(reader.v32(FILE_MOST, "network file")?)?;
        }
        Ok(())
    }

    /// Takes a snapshot, with the answer to [`DirKind::Headers`] that leads to it; that is empty for the first one.
    ///
    /// # Errors
    /// [`LibraryError`]; nothing has changed, but after [`LibraryError::Forked`] nothing is given out any more.
    pub fn learn_snapshot(
        &self,
        file: &Bytes,
        headers: &[u8],
        now: UnixTime,
    ) -> Result<Learned, LibraryError> {
        let headers = read_headers(headers)?;
        let mut state = self.state();
        let state = &mut *state;
        let network = state.network.as_ref().ok_or(LibraryError::NoNetwork)?;
        let current = self.current.load();
        let before = current.as_ref().map(|directory| directory.snapshot());
        let snapshot = Snapshot::parse(file, network, before)?;
        match state.chain.accept(network, &snapshot, &headers, now) {
            Verdict::Same => Ok(Learned::Same),
            Verdict::Refused(why) => Err(LibraryError::Refused(why)),
            Verdict::Forked(_) => {
                self.current.store(None);
                self.touch();
                Err(LibraryError::Forked)
            }
            Verdict::Accepted => {
                let directory = Directory::new(snapshot, &mut state.revocations, now);
                let (number, _) = directory.number_and_hash();
                state.snapshot = file.clone();
                state.file_headers();
                self.current.store(Some(Arc::new(directory)));
                self.changed.send_replace(number);
                self.touch();
                Ok(Learned::New)
            }
        }
    }
}

fn read_headers(answer: &[u8]) -> Result<Vec<SignedHeader>, Malformed> {
    let (mut reader, mut headers) = (Reader::new(answer), Vec::new());
    while !reader.rest().is_empty() {
        headers.push(SignedHeader::parse(reader.v32(HEADER_MOST, "header")?)?);
    }
    Ok(headers)
}

impl Book for Library {
    fn directory(&self) -> Option<Arc<Directory>> {
        self.current.load_full()
    }

    fn answer(&self, kind: DirKind, number: u64) -> Bytes {
        let state = self.state();
        let mut answer = Vec::new();
        match kind {
            DirKind::Own => {}
            DirKind::Snapshot => return state.snapshot.clone(),
            DirKind::Networks => {
                let version = u32::try_from(number).unwrap_or(u32::MAX);
                for file in state.network.iter().flat_map(|network| network.files_from(version)) {
                    answer.put_v32(file.encode().as_bytes());
                }
            }
            DirKind::Headers => {
                for header in state.archive.range(number.max(1)..).map(|(_, header)| header) {
                    if answer.len() + header.len() > HEADERS_ANSWER {
                        break;
                    }
                    answer.put_v32(header);
                }
            }
            DirKind::Newest => {
                if let Some(newest) = state.chain.newest() {
                    answer.put_v32(&newest.encode());
                }
            }
        }
        answer.into()
    }
}
