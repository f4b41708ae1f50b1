//! A file of endpoints: its format, and when it is read again.
//!
//! One endpoint a line, as the configuration writes it, then options; `#` begins a comment:
//! ```text
//! http://192.0.2.11:8080 weight=5 zone=cellar
//! http://192.0.2.12:8080 priority=1 tags=spare,slow
//! ```
//! A mistake refuses the whole file with its line: half a list is another list. The file is read when its time or size has
//! changed, and taken when both were the same before and after reading.

use crate::upstream::{EndpointError, EndpointSpec, MAX_PRIORITY, MAX_WEIGHT, Scheme};
use std::fs::Metadata;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Why a file gave no endpoints.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// Over 1 MiB.
    #[error("the file is larger than 1 MiB")]
    TooLarge,
    /// Nothing but comments. An upstream without endpoints is never meant by an empty file.
    #[error("the file names no endpoint")]
    Empty,
    /// A line is wrong.
    #[error("line {line}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        #[source]
        fault: LineFault,
    },
}

/// What is wrong in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An option that is none of the four, or has no `=`.
    #[error("options are weight=, priority=, zone= and tags=")]
    Option,
    /// Out of range.
    #[error("a weight is a number from 0 to {MAX_WEIGHT}")]
    Weight,
    /// Out of range.
    #[error("a priority is a number from 0 to {MAX_PRIORITY}")]
    Priority,
}

impl FileError {
    /// Its stable word for logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Read(_) => "file_unreadable",
            Self::TooLarge => "file_too_large",
            Self::Empty => "file_empty",
            Self::Line { .. } => "file_line",
        }
    }

    /// The line that is wrong, from 1.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::Line { line, .. } => Some(*line),
            Self::Read(_) | Self::TooLarge | Self::Empty => None,
        }
    }
}

/// Reads a file's text. Lines without a scheme are spoken to by `scheme`.
///
/// # Errors
/// [`FileError::Line`] for the first line that is wrong, [`FileError::Empty`].
pub fn parse(text: &str, scheme: Scheme) -> Result<Vec<EndpointSpec>, FileError> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if !text.is_empty() {
            found.push(parse_line(text, scheme).map_err(|fault| FileError::Line { line, fault })?);
        }
    }
    if found.is_empty() { Err(FileError::Empty) } else { Ok(found) }
}

fn parse_line(text: &str, scheme: Scheme) -> Result<EndpointSpec, LineFault> {
    let mut words = text.split_ascii_whitespace();
    let mut spec = EndpointSpec::parse(words.next().unwrap_or_default(), scheme)?;
    for option in words {
        match option.split_once('=').ok_or(LineFault::Option)? {
            ("weight", value) => {
                let weight = value.parse().ok().filter(|weight| *weight <= MAX_WEIGHT);
                spec.weight = weight.ok_or(LineFault::Weight)?;
            }
            ("priority", value) => {
                let priority = value.parse().ok().filter(|priority| *priority <= MAX_PRIORITY);
                spec.priority = priority.ok_or(LineFault::Priority)?;
            }
            ("zone", value) if !value.is_empty() => spec.zone = Some(value.into()),
            ("tags", value) => {
                spec.tags = value.split(',').filter(|tag| !tag.is_empty()).map(Arc::from).collect();
            }
            (_, _) => return Err(LineFault::Option),
        }
    }
    Ok(spec)
}

/// What was last seen of a file.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<Stamp>);

/// Time and size; neither, while there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// A look at a file: `None` when nothing has changed, or it is just being written.
pub(super) type Looked = Option<Result<Vec<EndpointSpec>, FileError>>;

impl Watch {
    /// Looks at the file, and reads it if it has changed. For a thread that may wait.
    pub(super) fn looked_at(self, path: &Path, scheme: Scheme) -> (Looked, Self) {
        let before = stamp(path);
        if self.0 == Some(before) {
            return (None, self);
        }
        let read = read(path).and_then(|text| parse(&text, scheme));
        if stamp(path) != before {
            return (None, self);
        }
        (Some(read), Self(Some(before)))
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = |file: Metadata| Some((file.modified().ok()?, file.len()));
    std::fs::metadata(path).ok().and_then(of)
}

fn read(path: &Path) -> Result<String, FileError> {
    let file = std::fs::File::open(path).map_err(FileError::Read)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(FileError::Read)?;
    if text.len() as u64 > MAX_FILE { Err(FileError::TooLarge) } else { Ok(text) }
}

/// About 20,000 endpoints.
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_with_their_options() {
        let text = "# the cellar\nhttp://192.0.2.11:8080 weight=5 zone=cellar # first\n\n\
                    192.0.2.12:8080 priority=1 tags=spare,slow\nunix:/run/app.sock weight=0\n";
        let found = parse(text, Scheme::Tcp).unwrap();
        let shown: Vec<_> = found.iter().map(|s| (s.key.to_string(), s.weight, s.priority)).collect();
        let wanted =
            [("http://192.0.2.11:8080", 5, 0), ("tcp://192.0.2.12:8080", 1, 1), ("unix:/run/app.sock", 0, 0)];
        assert_eq!(shown, wanted.map(|(key, weight, priority)| (key.to_owned(), weight, priority)));
        assert_eq!((found[0].zone.as_deref(), found[1].tags.len()), (Some("cellar"), 2));
    }

    #[test]
    fn a_mistake_refuses_the_file_and_names_the_line() {
        for (text, line, fault) in [
            ("a.example:80\nb.example", 2, LineFault::Endpoint(shoalway_types::TargetError::NoPort.into())),
            ("a.example:80 weight=65536", 1, LineFault::Weight),
            ("a.example:80 weight=", 1, LineFault::Weight),
            ("\n\na.example:80 priority=16", 3, LineFault::Priority),
            ("a.example:80 heavy", 1, LineFault::Option),
            ("a.example:80 color=red", 1, LineFault::Option),
            ("a.example:80 zone=", 1, LineFault::Option),
        ] {
            match parse(text, Scheme::Tcp) {
                Err(FileError::Line { line: at, fault: what }) => assert_eq!((at, what), (line, fault)),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["", "# nobody\n"] {
            assert!(matches!(parse(text, Scheme::Tcp), Err(FileError::Empty)));
        }
    }

    #[test]
    fn a_file_is_read_when_it_has_changed_and_only_then() {
        let path = std::env::temp_dir().join(format!("shoalway-endpoints-{}", std::process::id()));
        let look = |watch: Watch| watch.looked_at(&path, Scheme::Tcp);
        drop(std::fs::remove_file(&path));
        let (looked, watch) = look(Watch::default());
        assert!(matches!(looked, Some(Err(FileError::Read(_)))));
        let (looked, watch) = look(watch);
        assert!(looked.is_none());
        std::fs::write(&path, "192.0.2.1:80\n").unwrap();
        let (looked, watch) = look(watch);
        assert_eq!(looked.unwrap().unwrap().len(), 1);
        let (looked, watch) = look(watch);
        assert!(looked.is_none());
        std::fs::write(&path, "192.0.2.1:80\n192.0.2.2:80\n").unwrap();
        let (looked, watch) = look(watch);
        assert_eq!(looked.unwrap().unwrap().len(), 2);
        std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        let (looked, _watch) = look(watch);
        assert!(matches!(looked, Some(Err(FileError::TooLarge))));
        std::fs::remove_file(&path).unwrap();
    }
}
