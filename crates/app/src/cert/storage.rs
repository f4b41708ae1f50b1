//! Files of certificates, keys and accounts: private, written whole or not at all, one process at a time.
//!
//! ```text
//! DIR/lock                       held while something is ordered
//! DIR/AUTHORITY/account.json     account with its key
//! DIR/AUTHORITY/NAME.pem         key, certificate, its issuers: one file, so that a pair never falls apart
//! DIR/AUTHORITY/NAME.json        when it was tried, what went wrong, when it is renewed
//! DIR/local/ca.pem, ca.key       the local authority
//! ```
//! Directories have mode 0700 and files 0600. Not here: what is in the files.

use super::error::CertError;
use super::name::CertName;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// No file of ours is longer; what is, is no file of ours.
const LONGEST: u64 = 1 << 20;
/// Folder of the local authority.
pub(super) const LOCAL: &str = "local";

/// The directory.
#[derive(Debug, Clone)]
pub struct Storage {
    root: PathBuf,
}

/// The right to order, until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Storage {
    /// Opens it, and makes it when it is missing.
    ///
    /// # Errors
    /// [`CertError::Storage`], also when it belongs to another user or others may look into it.
    pub fn open(root: &Path) -> Result<Self, CertError> {
        make_private(root)?;
        let found = fs::metadata(root).map_err(|error| CertError::io("read", root, &error))?;
        let refused = |why: &str| {
            let kind = io::ErrorKind::PermissionDenied;
            CertError::Storage { action: "use", path: root.to_owned(), kind, why: why.to_owned() }
        };
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(refused("it belongs to another user"));
        }
        if found.mode() & 0o077 != 0 {
            return Err(refused("others may look into it: chmod 700"));
        }
        Ok(Self { root: root.to_owned() })
    }

    /// For reading what another process, perhaps of another user, keeps; nothing is made.
    #[must_use]
    pub fn look_at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`CertError::Locked`] when another process has it.
    pub fn lock(&self) -> Result<Lock, CertError> {
        let path = self.root.join("lock");
        let fail = |error: io::Error| CertError::io("lock", &path, &error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(CertError::Locked { path: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(fail(error)),
        }
    }

    /// Folder of the authority with this directory URL.
    #[must_use]
    pub(super) fn folder(directory: &str) -> String {
        let plain = directory.strip_prefix("https://").unwrap_or(directory);
        let safe = |sign: char| if sign.is_ascii_alphanumeric() || "-.".contains(sign) { sign } else { '_' };
        // A dot in front would hide it, or lead out.
        plain.chars().map(safe).collect::<String>().trim_start_matches('.').to_owned()
    }

    pub(super) fn path(&self, folder: &str, file: &str) -> PathBuf {
        self.root.join(folder).join(file)
    }

    /// The place of a certificate with its key.
    pub(super) fn pem(&self, folder: &str, name: &CertName) -> PathBuf {
        self.path(folder, &format!("{}.pem", name.file()))
    }

    /// The place of what is known about it.
    pub(super) fn json(&self, folder: &str, name: &CertName) -> PathBuf {
        self.path(folder, &format!("{}.json", name.file()))
    }

    /// Folders, and the files in each, sorted; those without any are left out.
    pub(super) fn folders(&self) -> Result<Vec<(String, Vec<String>)>, CertError> {
        let mut folders = Vec::new();
        for folder in entries(&self.root)? {
            let path = self.root.join(&folder);
            if path.is_dir() {
                folders.push((folder, entries(&path)?));
            }
        }
        Ok(folders)
    }
}

/// Names in a directory that are UTF-8, sorted; none when it does not exist.
fn entries(dir: &Path) -> Result<Vec<String>, CertError> {
    let fail = |error: io::Error| CertError::io("read", dir, &error);
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for entry in found {
        if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The octets of a file; none when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, CertError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CertError::io("read", path, &error)),
    };
    let mut octets = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut octets).map_err(|error| CertError::io("read", path, &error))?;
    if octets.len() as u64 > LONGEST {
        return Err(CertError::damaged(path, "it is too long"));
    }
    Ok(Some(octets))
}

/// Writes a file whole: under another name first, on the disk, then renamed.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result<(), CertError> {
    let fail = |error: io::Error| CertError::io("write", path, &error);
    let dir = path.parent().unwrap_or(Path::new("."));
    make_private(dir)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_new(&temporary, octets).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        drop(fs::remove_file(&temporary)); // it may not even exist
        return Err(fail(error));
    }
    // The new name itself is on the disk only when the directory is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail)
}

fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The file may be what a killed process left behind, with any mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(octets)?;
    file.sync_all()
}

/// Puts a damaged file aside, so that it can be looked at, and a new one takes its place.
pub(super) fn put_aside(path: &Path) -> Result<(), CertError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    fs::rename(path, aside).map_err(|error| CertError::io("write", path, &error))
}

fn make_private(dir: &Path) -> Result<(), CertError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| CertError::io("make", dir, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_testkit::TempDir;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn files_are_private_and_replaced_whole() {
        let dir = TempDir::new();
        let storage = Storage::open(&dir.join("certs")).unwrap();
        let path = storage.path("ca.example_directory", "account.json");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!((mode(&path), mode(storage.root()), mode(path.parent().unwrap())), (0o600, 0o700, 0o700));
        assert_eq!(entries(path.parent().unwrap()).unwrap(), ["account.json"]);
    }

    #[test]
    fn a_directory_that_others_can_look_into_is_refused() {
        let dir = TempDir::new();
        let root = dir.join("certs");
        drop(Storage::open(&root).unwrap());
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Storage::open(&root).unwrap_err();
        assert_eq!(error.code(), "A001");
        assert!(error.to_string().ends_with("others may look into it: chmod 700"), "{error}");
    }

    #[test]
    fn only_one_at_a_time_may_order() {
        let dir = TempDir::new();
        let storage = Storage::open(dir.path()).unwrap();
        let lock = storage.lock().unwrap();
        assert_eq!(storage.lock().unwrap_err(), CertError::Locked { path: dir.path().to_owned() });
        drop(lock);
        assert!(storage.lock().is_ok());
    }

    #[test]
    fn an_authority_has_a_folder_that_leads_nowhere_else() {
        for (url, wanted) in [
            ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org_directory"),
            ("https://127.0.0.1:14000/dir", "127.0.0.1_14000_dir"),
            ("https://../x", "_x"),
        ] {
            assert_eq!(Storage::folder(url), wanted);
        }
    }
}
