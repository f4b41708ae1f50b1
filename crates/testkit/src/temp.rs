//! A directory of its own for each test, gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A fresh empty directory, removed with all it holds on drop. The path is short: a Unix socket's may have 107 octets.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes it, readable by this user alone.
    #[must_use]
    pub fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt as _;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("shoalway-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).expect("make a temporary directory");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file into it and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).expect("write a temporary file");
        path
    }

    /// The same for a secret: its owner alone can read it.
    pub fn write_private(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("make a file private");
        path
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A file may appear while a killed child is still ending; what stays is in the system's temporary directory.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_empty_private_and_goes_away() {
        let one = TempDir::new();
        let file = one.write("a.txt", "x");
        assert_ne!(one.path(), TempDir::new().path());
        assert!(file.exists());
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
    }
}
