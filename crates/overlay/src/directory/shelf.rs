//! What a library knows, as files in a folder (ovl1 sections 3, 13).
//!
//! `network-N.toml`, `chain`, `headers`, `snapshot`, `revocations`; `fork-N` is the proof of a fork, which nothing here ever
//! removes. A file that cannot be read, or is from the future, is an error that names it: never a reason to begin anew.
//! Blocking: never on a shard. Not here: what holds (`overlay-proto`), when something is learned.

use super::library::{BadShelf, Kept, Library};
use crate::keys::files::{self, FileError};
use bytes::Bytes;
use shoalway_overlay_proto::codec::{Put, Reader};
use shoalway_overlay_proto::{Malformed, UnixTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest header with its signatures.
const HEADER_MOST: usize = 4 << 10;

/// Why a library cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What stands in the files does not hold.
    #[error("{}: {error}", folder.display())]
    Content {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        error: BadShelf,
    },
}

/// A folder for one library.
pub struct Shelf {
    folder: PathBuf,
    /// What stands there, so that only what has changed is written.
    written: Mutex<Kept>,
}

impl Shelf {
    /// Reads what is there; an empty folder is an empty library.
    ///
    /// # Errors
    /// [`ShelfError`] names the file.
    pub fn open(folder: &Path, id: [u8; 32], now: UnixTime) -> Result<(Self, Arc<Library>), ShelfError> {
        files::make_folder(folder)?;
        let kept = read(folder)?;
        let content = |error| ShelfError::Content { folder: folder.to_owned(), error };
        let library = Library::restore(id, &kept, now).map_err(content)?;
        Ok((Self { folder: folder.to_owned(), written: Mutex::new(kept) }, Arc::new(library)))
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// [`FileError::System`]; the next call tries the same again.
    pub fn save(&self, library: &Library) -> Result<(), FileError> {
        let now = library.kept();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, proof)) = &now.fork {
            let path = self.folder.join(format!("fork-{number}"));
            if files::read(&path)?.is_none() {
                files::create(&path, proof)?;
            }
        }
        for (number, file) in (1..).zip(&now.networks).skip(written.networks.len()) {
            files::replace(&self.folder.join(format!("network-{number:05}.toml")), file.as_bytes())?;
        }
        // The chain is last but for the snapshot: what it leads to is there when it says so.
        if now.headers != written.headers {
            files::replace(&self.folder.join("headers"), &headers(&now.headers))?;
        }
        let parts: [(&str, &[u8], &[u8]); 3] = [
            ("revocations", &now.revocations, &written.revocations),
            ("snapshot", &now.snapshot, &written.snapshot),
            ("chain", &now.chain, &written.chain),
        ];
        for (name, new, old) in parts {
            if new != old {
                files::replace(&self.folder.join(name), new)?;
            }
        }
        *written = now;
        Ok(())
    }

    /// Saves whenever something was learned, as long as it is polled.
    pub async fn keep(self: Arc<Self>, library: Arc<Library>) {
        let mut touched = library.touched();
        loop {
            if let Err(error) = self.save(&library) {
                tracing::warn!(%error, "what is known of the network was not written down");
            }
            if touched.changed().await.is_err() {
                return;
            }
        }
    }
}

fn read(folder: &Path) -> Result<Kept, FileError> {
    let whole = |name: &str| files::read(&folder.join(name)).map(|bytes| bytes.unwrap_or_default().to_vec());
    let mut networks = Vec::new();
    for path in files::list(folder, "network-", ".toml")? {
        networks.push(files::read_text(&path)?.unwrap_or_default().to_string());
    }
    let path = folder.join("headers");
    let headers = parse_headers(&whole("headers")?).map_err(|error| FileError::damaged(&path, error))?;
    Ok(Kept {
        networks,
        chain: whole("chain")?,
        headers,
        snapshot: whole("snapshot")?.into(),
        revocations: whole("revocations")?,
        fork: None,
    })
}

fn headers(all: &BTreeMap<u64, Bytes>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, header) in all {
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.put_v16(header);
    }
    bytes
}

fn parse_headers(bytes: &[u8]) -> Result<BTreeMap<u64, Bytes>, Malformed> {
    let (mut reader, mut all) = (Reader::new(bytes), BTreeMap::new());
    while !reader.rest().is_empty() {
        let number = reader.u64("header number")?;
        all.insert(number, Bytes::copy_from_slice(reader.v16(HEADER_MOST, "header")?));
    }
    Ok(all)
}
