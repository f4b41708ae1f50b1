//! Opens a file below a directory, and none outside of it.
//!
//! The kernel sees to that: `openat2` with RESOLVE_BENEATH (Linux 5.6) follows symbolic links as long as they stay below
//! the directory; `..` never comes here. Where the call is not to be had, each segment is opened by itself and no link
//! is followed. Blocking. Not here: which segments a request names (`files.rs`).

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Why there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFile {
    /// Nothing of that name, or only by a way out of the directory.
    Missing,
    /// It may not be read.
    Denied,
    /// This machine lacks something.
    Failed,
}

impl NoFile {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG | Errno::INVAL => {
                Self::Missing
            }
            Errno::ACCESS | Errno::PERM => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// Opens what `segments` name below `dir`; the directory itself when there are none.
pub(super) fn open(dir: &Path, segments: &[Vec<u8>]) -> Result<File, NoFile> {
    let top = openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(NoFile::of)?;
    let name = match segments {
        [] => b".".to_vec(),
        segments => segments.join(&b'/'),
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut opened = openat2(&top, name.as_slice(), READ, Mode::empty(), resolve);
    if matches!(opened, Err(Errno::AGAIN)) {
        // A rename came between: once more is enough in practice, and never wrong.
        opened = openat2(&top, name.as_slice(), READ, Mode::empty(), resolve);
    }
    match opened {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::NOSYS) => step_by_step(top, segments),
        Err(errno) => Err(NoFile::of(errno)),
    }
}

/// NONBLOCK, so that a pipe of that name cannot hold the thread.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn step_by_step(top: OwnedFd, segments: &[Vec<u8>]) -> Result<File, NoFile> {
    let Some((last, folders)) = segments.split_last() else {
        return openat(&top, ".", READ, Mode::empty()).map(File::from).map_err(NoFile::of);
    };
    let mut at = top;
    for folder in folders {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = openat(&at, folder.as_slice(), flags, Mode::empty()).map_err(NoFile::of)?;
    }
    let file = openat(&at, last.as_slice(), READ.union(OFlags::NOFOLLOW), Mode::empty());
    file.map(File::from).map_err(NoFile::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    fn read(open: impl Fn(&[Vec<u8>]) -> Result<File, NoFile>, name: &str) -> Result<String, NoFile> {
        let segments: Vec<Vec<u8>> = name.split('/').map(|part| part.as_bytes().to_vec()).collect();
        let mut text = String::new();
        open(&segments)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let around = std::env::temp_dir().join(format!("shoalway-files-{}", std::process::id()));
        let dir = around.join("site");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(around.join("secret"), "secret").unwrap();
        std::fs::write(dir.join("sub/a"), "a").unwrap();
        symlink("sub/a", dir.join("inside")).unwrap();
        symlink("../secret", dir.join("outside")).unwrap();
        symlink(around.join("secret"), dir.join("absolute")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        let by_kernel = |segments: &[Vec<u8>]| open(&dir, segments);
        let by_hand = |segments: &[Vec<u8>]| {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            step_by_step(openat(CWD, &dir, flags, Mode::empty()).unwrap(), segments)
        };
        assert_eq!(read(by_kernel, "inside").as_deref(), Ok("a"));
        assert_eq!(read(by_kernel, "sub/a").as_deref(), Ok("a"));
        assert_eq!(read(by_hand, "sub/a").as_deref(), Ok("a"));
        assert_eq!(read(by_hand, "inside"), Err(NoFile::Missing));
        for name in ["outside", "absolute", "up/secret", "loop", "none", "sub/a/b"] {
            assert_eq!(read(by_kernel, name), Err(NoFile::Missing), "{name}");
            assert_eq!(read(by_hand, name), Err(NoFile::Missing), "{name}");
        }
        assert_eq!(open(&dir.join("none"), &[]).err(), Some(NoFile::Missing));
        std::fs::remove_dir_all(around).unwrap();
    }
}
