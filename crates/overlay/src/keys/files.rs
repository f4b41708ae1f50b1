//! Files that are their owner's alone: written whole or not at all, refused when others can read them, erased.
//!
//! Everything of a node or client that lasts goes through here. Blocking: never on a shard. Not here: what stands in
//! the files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use zeroize::Zeroizing;

/// No file of ours is longer, in bytes: a snapshot and something.
const LONGEST: usize = 9 << 20;

/// Why a file of the state cannot be used. The program does not start with a state that it does not understand.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:o}): chmod 600 it", path.display())]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not what was written there.
    #[error("{} is not as it was written: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It was written by a clock that is ahead of this one.
    #[error("{} is from the future: is the clock of this computer right?", path.display())]
    Future {
        /// Which file.
        path: PathBuf,
    },
}

impl FileError {
    /// That it is damaged.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "an error or a text, whichever it was")]
    pub fn damaged(path: &Path, why: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.to_string() }
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError {
    move |source| FileError::System { what, path: path.to_owned(), source }
}

/// Makes a folder for its owner alone, and those above it; one that is there stays as it is.
///
/// # Errors
/// [`FileError::System`]
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

/// Reads a file; none when there is none.
///
/// # Errors
/// [`FileError`], also when others can read it.
pub fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    // Of the open file, so that nobody exchanges it between the look and the reading.
    let found = file.metadata().map_err(failed("read", path))?;
    let mode = found.mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        return Err(FileError::Readable { path: path.to_owned(), mode });
    }
    let length = usize::try_from(found.len()).unwrap_or(LONGEST).min(LONGEST);
    // As long as it is: a buffer that grows would leave secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() > LONGEST {
        return Err(FileError::damaged(path, "it is too long"));
    }
    Ok(Some(bytes))
}

/// Reads a file of text; none when there is none.
///
/// # Errors
/// As [`read`], and when it is no UTF-8.
pub fn read_text(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_not_text) => Err(FileError::damaged(path, "it is not text")),
    }
}

/// Makes a file of mode 0600 that is not there yet.
///
/// # Errors
/// [`FileError::System`], also when it is there.
pub fn create(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write_new(path, content).map_err(failed("write", path))
}

/// Puts a file of mode 0600 in the place of one that may be there: whole or not at all.
///
/// # Errors
/// [`FileError::System`]; what stood there stands there still.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.{}.new", std::process::id(), NEXT.fetch_add(1, Relaxed)));
    let new = PathBuf::from(new);
    let written = write_new(&new, content).and_then(|()| fs::rename(&new, path)).and_then(|()| sync(path));
    written.map_err(|error| {
        drop(fs::remove_file(&new)); // it may not even exist
        failed("write", path)(error)
    })
}

/// Writes zeros over a file, then removes it. What a file system or a disk keeps of old blocks is out of reach.
///
/// # Errors
/// [`FileError::System`]; none when the file is not there.
pub fn erase(path: &Path) -> Result<(), FileError> {
    let gone = |file: &mut File| {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(LONGEST);
        file.write_all(&vec![0; length])?;
        file.sync_all()
    };
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => gone(&mut file)
            .and_then(|()| fs::remove_file(path))
            .and_then(|()| sync(path))
            .map_err(failed("erase", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("erase", path)(error)),
    }
}

/// The files of a folder whose names begin and end so, in order of their names; none when there is no such folder.
///
/// # Errors
/// [`FileError::System`]
pub fn list(folder: &Path, begin: &str, end: &str) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("read", folder))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(begin) && name.ends_with(end)) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| sync(path));
    if written.is_err() {
        drop(fs::remove_file(path)); // the failure that is told is the first one
    }
    written
}

/// A name is on the disk only when its folder is.
fn sync(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::store::tests::Folder;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        let folder = Folder::new("files-mode");
        let (made, replaced) = (folder.0.join("a"), folder.0.join("b"));
        create(&made, b"one").unwrap();
        fs::write(&replaced, b"old").unwrap();
        replace(&replaced, b"new").unwrap();
        assert_eq!((mode(&made), mode(&replaced)), (0o600, 0o600));
        assert_eq!(**read(&replaced).unwrap().unwrap(), *b"new");
        fs::set_permissions(&made, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&made), Err(FileError::Readable { mode: 0o640, .. })));
    }

    #[test]
    fn nothing_is_written_over_by_making_and_nothing_half_by_replacing() {
        let folder = Folder::new("files-whole");
        let path = folder.0.join("a");
        create(&path, b"one").unwrap();
        assert!(matches!(create(&path, b"two"), Err(FileError::System { .. })));
        assert_eq!(**read(&path).unwrap().unwrap(), *b"one");
        // A folder in its place: the new file cannot take it, and none is left lying about.
        let taken = folder.0.join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"three").is_err());
        assert_eq!(list(&folder.0, "", "").unwrap(), [path, taken]);
    }

    #[test]
    fn what_is_erased_is_gone_even_for_who_has_it_open() {
        let folder = Folder::new("files-erase");
        let path = folder.0.join("key");
        create(&path, b"secret").unwrap();
        let mut open = File::open(&path).unwrap();
        erase(&path).unwrap();
        let mut left = Vec::new();
        open.read_to_end(&mut left).unwrap();
        assert_eq!(left, [0; 6]);
        assert!(read(&path).unwrap().is_none());
        erase(&path).unwrap();
    }
}
