//! The control socket: made so that nobody else can ever open it, taken over only when nobody answers there.
//!
//! The mode is set before the socket gets its name. A name that another running program answers on is left alone; one
//! that nobody answers on is what a killed program left behind. Not here: what is served.

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections the kernel may queue.
const BACKLOG: i32 = 64;

/// A socket with a name; the name goes with it.
pub struct ControlSocket {
    path: PathBuf,
    inode: (u64, u64),
    socket: UnixListener,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another program answers there.
    #[error("another proxy answers there")]
    Answered,
    /// The directory is not ours alone.
    #[error("its directory belongs to somebody else, or others may write there")]
    Exposed,
    /// Something else has the name.
    #[error("there is something that is no socket")]
    NoSocket,
    /// What the system says.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ControlSocket {
    /// Makes the socket, mode 0600, and with `make_dir` its directory, mode 0700.
    ///
    /// # Errors
    /// [`SocketError`]; nothing was changed, but perhaps a directory made.
    pub fn open(path: &Path, make_dir: bool) -> Result<Self, SocketError> {
        if make_dir && let Some(dir) = path.parent() {
            own_directory(dir)?;
        }
        clear(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
        // Linux gives the name the mode that the socket has while it is bound.
        fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
        let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
        bind(&socket, &address).map_err(io::Error::from)?;
        listen(&socket, BACKLOG).map_err(io::Error::from)?;
        let made = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), inode: (made.dev(), made.ino()), socket: socket.into() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listening end, for the runtime.
    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.socket.try_clone()?)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = |now: &fs::Metadata| (now.dev(), now.ino()) == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|now| ours(&now)) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes what a killed program left behind.
fn clear(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(there) if !there.file_type().is_socket() => Err(SocketError::NoSocket),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(SocketError::Answered),
        Ok(_) => Ok(fs::remove_file(path)?),
    }
}

/// The directory is there, is no link, belongs to us, and nobody else may write there.
fn own_directory(dir: &Path) -> Result<(), SocketError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let made = fs::symlink_metadata(dir)?;
    let ours = made.is_dir() && made.uid() == rustix::process::geteuid().as_raw() && made.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(SocketError::Exposed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_testkit::TempDir;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn socket_and_directory_are_for_their_owner_alone() {
        let dir = TempDir::new();
        let path = dir.join("run/a.sock");
        let socket = ControlSocket::open(&path, true).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_answers_is_left_alone_and_a_dead_one_replaced() {
        let dir = TempDir::new();
        let path = dir.join("a.sock");
        let living = ControlSocket::open(&path, false).unwrap();
        assert!(matches!(ControlSocket::open(&path, false), Err(SocketError::Answered)));
        let dead = dir.join("b.sock");
        drop(UnixListener::bind(&dead).unwrap());
        assert!(dead.exists());
        let replaced = ControlSocket::open(&dead, false).unwrap();
        assert!(UnixStream::connect(&dead).is_ok());
        drop((living, replaced));
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let dir = TempDir::new();
        let path = dir.write("a.sock", "precious");
        assert!(matches!(ControlSocket::open(&path, false), Err(SocketError::NoSocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_directory_others_may_write_to_is_refused() {
        let dir = TempDir::new();
        let open = dir.join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ControlSocket::open(&open.join("a.sock"), true), Err(SocketError::Exposed)));
    }

    #[test]
    fn a_name_that_was_taken_over_is_not_removed() {
        let dir = TempDir::new();
        let path = dir.join("a.sock");
        let old = ControlSocket::open(&path, false).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = ControlSocket::open(&path, false).unwrap();
        drop(old);
        assert!(path.exists());
    }
}
