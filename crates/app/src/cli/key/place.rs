//! Where a wallet's files are.

use super::error::KeyError;
use crate::config::{Request, Surroundings};
use std::path::{Path, PathBuf};

/// The files of one wallet: they differ in their endings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    keystore: PathBuf,
}

impl Place {
    /// A name in a directory, the usual one if none is given; or the path of a keystore, which has a slash.
    pub(super) fn named(name: &str, keys: Option<&Path>, request: &Request) -> Result<Self, KeyError> {
        if name.contains('/') {
            return Self::of_keystore(Path::new(name));
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(fine) {
            return Err(KeyError::Name { name: name.to_owned() });
        }
        let dir = keys.map_or_else(|| default_dir(&request.surroundings), Path::to_owned);
        Ok(Self { keystore: dir.join(format!("{name}.json")) })
    }

    /// A keystore somewhere else; the other files lie beside it.
    pub(super) fn of_keystore(path: &Path) -> Result<Self, KeyError> {
        if path.extension().is_some_and(|ending| ending == "json") {
            return Ok(Self { keystore: path.to_owned() });
        }
        Err(KeyError::Name { name: path.display().to_string() })
    }

    pub(super) fn keystore(&self) -> &Path {
        &self.keystore
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.keystore.with_extension("backup")
    }

    pub(super) fn delegation(&self) -> PathBuf {
        self.keystore.with_extension("delegation")
    }

    pub(super) fn node_key(&self) -> PathBuf {
        self.keystore.with_extension("nodekey")
    }

    /// What names the wallet on a command line, wherever it is.
    pub(super) fn argument(&self) -> String {
        let path = self.keystore.display().to_string();
        if path.contains('/') { path } else { format!("./{path}") }
    }

    /// What to call the wallet.
    pub(super) fn name(&self) -> String {
        self.keystore.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The directory of keys: of the service, of the system for root, else of the user.
pub(super) fn default_dir(surroundings: &Surroundings) -> PathBuf {
    const SYSTEM: &str = "/var/lib/shoalway";
    // systemd gives several directories with colons between them; the first is ours.
    let service = surroundings.filled("STATE_DIRECTORY").and_then(|dirs| dirs.split(':').next());
    let home = || Some(Path::new(surroundings.filled("HOME")?).join(".local/share"));
    let user = || surroundings.filled("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    let base = match service {
        Some(dir) => PathBuf::from(dir),
        None if surroundings.user() == 0 => PathBuf::from(SYSTEM),
        None => user().map_or_else(|| PathBuf::from(SYSTEM), |dir| dir.join("shoalway")),
    };
    base.join("keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_their_owner_keeps_data() {
        let user = Surroundings::default();
        let home = user.clone().with_variable("HOME", "/home/a");
        for (surroundings, wanted) in [
            (user, "/var/lib/shoalway/keys"),
            (home.clone(), "/home/a/.local/share/shoalway/keys"),
            (home.clone().with_variable("XDG_DATA_HOME", "/data"), "/data/shoalway/keys"),
            (home.clone().with_variable("XDG_DATA_HOME", ""), "/home/a/.local/share/shoalway/keys"),
            (home.with_variable("STATE_DIRECTORY", "/var/lib/s:/b"), "/var/lib/s/keys"),
        ] {
            assert_eq!(default_dir(&surroundings), Path::new(wanted));
        }
    }

    #[test]
    fn a_name_is_one_word_and_a_path_ends_in_json() {
        let keystore = |name: &str| {
            let place = Place::named(name, Some(Path::new("/k")), &Request::default()).ok()?;
            Some((place.keystore().to_owned(), place.name()))
        };
        let found = |path: &str, name: &str| Some((PathBuf::from(path), name.to_owned()));
        assert_eq!(keystore("node-1"), found("/k/node-1.json", "node-1"));
        assert_eq!(keystore("./a.b.json"), found("./a.b.json", "a.b"));
        for wrong in ["", "..", "a.json", "-x", "a b", "ä", "/etc/passwd", "./x", "a/", &"x".repeat(65)] {
            assert_eq!(keystore(wrong), None, "{wrong}");
        }
    }
}
