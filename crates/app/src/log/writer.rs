//! Where lines go: a file, standard output, or nowhere; on the writer's own thread.
//!
//! The control thread opens files and hands them over, so a file that cannot be opened is told to whoever asked for
//! it, and a disk that hangs holds up this thread alone. Lines that cannot be written are counted and lost, with one
//! warning a minute. Not here: buffers and their way here (`net/journal`), forms.

use crate::config::settings::AccessLog;
use shoalway_net::journal::LineSink;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two warnings about lines that could not be written.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// An opened place for lines.
pub enum Destination {
    /// Nowhere: lines are dropped, which is no loss.
    Nowhere,
    /// Standard output.
    Stdout,
    /// A file, appended.
    File(File),
}

impl Destination {
    /// Opens what the settings name. A new file has mode 0640.
    ///
    /// # Errors
    /// As the system says when the file cannot be opened for appending.
    pub fn open(access: &AccessLog) -> io::Result<Self> {
        match access {
            AccessLog::Off => Ok(Self::Nowhere),
            AccessLog::Stdout => Ok(Self::Stdout),
            AccessLog::File(path) => Ok(Self::File(append(path)?)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Nowhere => Ok(bytes.len()),
            Self::Stdout => io::stdout().write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            // A file has no buffer of ours.
            Self::Nowhere | Self::File(_) => Ok(()),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The control thread's end of the writer.
#[derive(Clone, Default)]
pub struct LogControl {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    next: Mutex<Option<Destination>>,
    lost: AtomicU64,
}

impl LogControl {
    /// Lines written from now on go there. Those already written stay where they are.
    pub fn switch(&self, to: Destination) {
        *self.shared.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
    }

    /// Lines lost because writing failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }

    /// The writer's end, to be run on its thread; it begins with what [`Self::switch`] was given last.
    #[must_use]
    pub fn sink(&self) -> Sink {
        Sink { shared: Arc::clone(&self.shared), to: Destination::Nowhere, torn: false, warned: None }
    }
}

/// Writes whole buffers of lines.
pub struct Sink {
    shared: Arc<Shared>,
    to: Destination,
    /// A line was cut by an error: the next one must not go on in its middle.
    torn: bool,
    warned: Option<Instant>,
}

impl Sink {
    fn take_next(&mut self) {
        if let Some(next) = self.shared.next.lock().unwrap_or_else(PoisonError::into_inner).take() {
            (self.to, self.torn) = (next, false);
        }
    }

    /// Writes all, or gives what is left with the error.
    fn write_all<'a>(&mut self, mut lines: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
        if self.torn {
            self.to.write(b"\n").map_err(|error| (lines, error))?;
            self.torn = false;
        }
        while !lines.is_empty() {
            match self.to.write(lines) {
                Ok(0) => return Err((lines, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.torn = lines.get(n.saturating_sub(1)) != Some(&b'\n');
                    lines = lines.get(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((lines, error)),
            }
        }
        Ok(())
    }

    fn warn(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.warned.is_none_or(|then| now.saturating_duration_since(then) >= WARN_EVERY) {
            self.warned = Some(now);
            let lost = self.shared.lost.load(Relaxed);
            tracing::warn!(%error, lost, "the access log cannot be written: lines are lost, traffic goes on");
        }
    }
}

impl LineSink for Sink {
    fn write(&mut self, lines: &[u8]) {
        self.take_next();
        if let Err((left, error)) = self.write_all(lines) {
            let lost = left.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.shared.lost.fetch_add(lost, Relaxed);
            self.warn(&error);
        }
    }

    fn idle(&mut self) {
        if let Err(error) = self.to.flush() {
            self.warn(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("shoalway-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        drop(std::fs::remove_file(&path));
        path
    }

    fn open(path: &Path) -> Destination {
        Destination::open(&AccessLog::File(path.to_owned())).unwrap()
    }

    #[test]
    fn after_a_rotation_lines_go_to_the_new_file() {
        let (path, rotated) = (place("rotated.log"), place("rotated.log.1"));
        let control = LogControl::default();
        let mut sink = control.sink();
        control.switch(open(&path));
        sink.write(b"one\n");
        std::fs::rename(&path, &rotated).unwrap();
        sink.write(b"two\n");
        control.switch(open(&path));
        sink.write(b"three\n");
        assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_full_disk_costs_lines_and_is_told_once() {
        let control = LogControl::default();
        let mut sink = control.sink();
        control.switch(open(Path::new("/dev/full")));
        sink.write(b"one\ntwo\n");
        sink.write(b"three\n");
        assert_eq!(control.lost(), 3);
        assert!(sink.warned.is_some());
        let path = place("after.log");
        control.switch(open(&path));
        sink.write(b"four\n");
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), control.lost()), ("four\n", 3));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let access = AccessLog::File("/proc/no-such-directory/access.log".into());
        assert!(Destination::open(&access).is_err());
    }
}
