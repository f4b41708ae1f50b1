//! Files with secrets: made for their owner alone, never written over, refused when others can read them.

use super::error::KeyError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No file of ours is longer, in bytes.
const LONGEST: usize = 64 * 1024;

/// Makes a file with mode 0600, and its directory with 0700 if it is missing.
pub(super) fn create(path: &Path, text: &str) -> Result<(), KeyError> {
    make_dir(path)?;
    if let Err(error) = write_new(path, text) {
        return Err(match error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => KeyError::file("write", path)(error),
        });
    }
    Ok(())
}

/// Puts a file in the place of one that may be there: whole or not at all.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), KeyError> {
    make_dir(path)?;
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(new);
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path)).and_then(|()| sync_dir(path));
    written.map_err(|error| {
        drop(fs::remove_file(&new)); // it may not even exist
        KeyError::file("write", path)(error)
    })
}

/// Whether a file can be made here; said before anybody is asked for anything.
pub(super) fn check_free(path: &Path) -> Result<(), KeyError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(KeyError::Exists { path: path.to_owned() });
    }
    Ok(())
}

/// Reads a file; none when there is no such file.
///
/// A regular file must be for its owner alone; what is not one (a pipe, a terminal) has no reader to guard against.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyError::file("read", path)(error)),
    };
    // Of the open file, so that nobody exchanges it between the look and the reading.
    let found = file.metadata().map_err(KeyError::file("read", path))?;
    let mode = found.mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        return Err(KeyError::Readable { path: path.to_owned(), mode });
    }
    read_text(file).map(Some).map_err(KeyError::file("read", path))
}

/// All of a reader as text, at most 64 KiB.
pub(super) fn read_text(from: impl io::Read) -> io::Result<Zeroizing<String>> {
    // As long as it may get: a buffer that grows would leave secrets behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 1));
    from.take(LONGEST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(text)
}

/// Removes what was made a moment ago, since the command failed after all.
pub(super) fn undo(paths: &[&Path]) {
    for path in paths {
        drop(fs::remove_file(path)); // the failure that is reported is the first one
    }
}

fn make_dir(path: &Path) -> Result<(), KeyError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(KeyError::file("make", dir))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_dir(path));
    if written.is_err() {
        undo(&[path]);
    }
    written
}

/// A new name is on the disk only when its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_testkit::TempDir;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_is_for_its_owner_alone_and_never_written_over() {
        let dir = TempDir::new();
        let path = dir.join("keys/node.json");
        assert!(read(&path).unwrap().is_none());
        create(&path, "one").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(create(&path, "two"), Err(KeyError::Exists { .. })));
        assert!(matches!(check_free(&path), Err(KeyError::Exists { .. })));
        assert_eq!(*read(&path).unwrap().unwrap(), "one");
        replace(&path, "three").unwrap();
        assert_eq!((mode(&path), read(&path).unwrap().unwrap().as_str()), (0o600, "three"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left lying about");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = TempDir::new();
        let path = dir.write("node.json", "secret");
        for open in [0o640, 0o604, 0o620, 0o644, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.hint(), format!("chmod 600 {}", path.display()));
            assert!(error.to_string().ends_with(&format!("(mode {open:o})")), "{error}");
        }
        for private in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(private)).unwrap();
            assert_eq!(*read(&path).unwrap().unwrap(), "secret");
        }
    }

    #[test]
    fn a_link_is_not_followed_when_a_file_is_made() {
        let dir = TempDir::new();
        let (target, link) = (dir.join("target"), dir.join("node.json"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(create(&link, "x"), Err(KeyError::Exists { .. })));
        assert!(!target.exists());
    }

    #[test]
    fn what_is_too_long_is_no_file_of_ours() {
        assert!(read_text(io::repeat(b'x')).is_err());
        assert_eq!(read_text(&b"x"[..]).unwrap().as_str(), "x");
    }
}
