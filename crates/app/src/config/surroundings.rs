//! What a configuration may ask of its surroundings: environment variables and files, nothing else.
//!
//! Both can be given by hand, which is how tests work and how `proxy -L` hands over a file it never writes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Variables and files as the configuration sees them. The default has none but the real files.
#[derive(Default, Clone)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    user: Option<u32>,
}

impl Surroundings {
    /// The variables of this process; those that are no UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = std::env::vars_os().filter_map(text).collect();
        Self { variables, files: BTreeMap::new(), user: Some(rustix::process::geteuid().as_raw()) }
    }

    /// With a variable set.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a text that stands for a file, whether the file exists or not.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// The number of the user the program runs as; 65534 (nobody) when none was given.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.user.unwrap_or(65_534)
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Whether a file is there.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || path.exists()
    }

    /// Whether a text was given in place of this file.
    #[must_use]
    pub fn is_given(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// A file as text.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` when it is not UTF-8.
    pub fn read_text(&self, path: &Path) -> io::Result<String> {
        match self.files.get(path) {
            Some(text) => Ok(text.clone()),
            None => std::fs::read_to_string(path),
        }
    }

    /// A file as it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => std::fs::read(path),
        }
    }

    /// The names of the files in a directory, sorted; given ones included.
    ///
    /// # Errors
    /// What the system says.
    pub fn names_in(&self, dir: &Path) -> io::Result<Vec<String>> {
        let given = self.files.keys().filter(|path| path.parent() == Some(dir));
        let mut names: Vec<String> =
            given.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        let real = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        match std::fs::read_dir(real) {
            Ok(entries) => {
                for entry in entries {
                    names.extend(entry?.file_name().into_string().ok());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}
