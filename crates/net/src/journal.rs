//! The access log's way off the hot path: lines gather in a shard's buffer, a writer thread takes whole buffers.
//!
//! A buffer is handed over when half full or 200 ms after its first line. There are two spare ones; when none is
//! free the line is dropped and counted, never waited for. The line itself is composed by a [`LineFormat`], given
//! by `app`. Not here: formats, privacy levels, files, rotation (`app/log`).

use crate::counters::ShardCounters;
use shoalway_types::Record;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of a buffer.
const CAPACITY: usize = 64 << 10;
/// Buffers of a shard: one being filled, two on their way.
const BUFFERS: usize = 3;
/// How long a line may wait for the writer.
const DELAY: Duration = Duration::from_millis(200);

/// Turns a record into a line. Called on the shard: it must not block, and should not allocate.
pub trait LineFormat: Send + Sync {
    /// Appends one line with its line end, or nothing.
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>);
}

/// Takes whole buffers on the writer's thread.
pub trait LineSink: Send {
    /// Writes complete lines.
    fn write(&mut self, lines: &[u8]);
    /// The shards have nothing more for now: a moment to flush.
    fn idle(&mut self);
}

/// The writer's end: give each shard's journal one, run the other on a thread of its own.
pub struct Writer {
    full: Receiver<Parcel>,
}

struct Parcel {
    lines: Vec<u8>,
    home: SyncSender<Vec<u8>>,
}

/// What journals hold to reach the writer.
#[derive(Clone)]
pub struct WriterHandle {
    full: SyncSender<Parcel>,
}

impl Writer {
    /// A writer for up to `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> (WriterHandle, Self) {
        let (send, full) = sync_channel(shards.max(1) * BUFFERS);
        (WriterHandle { full: send }, Self { full })
    }

    /// Writes until every journal is gone.
    pub fn run(self, mut sink: impl LineSink) {
        while let Ok(parcel) = self.full.recv() {
            self.take(parcel, &mut sink);
            while let Ok(parcel) = self.full.try_recv() {
                self.take(parcel, &mut sink);
            }
            sink.idle();
        }
    }

    #[expect(clippy::unused_self, reason = "keeps the life of a parcel in one place")]
    fn take(&self, parcel: Parcel, sink: &mut impl LineSink) {
        sink.write(&parcel.lines);
        let mut lines = parcel.lines;
        lines.clear();
        // The shard may be gone: then the buffer goes with it.
        drop(parcel.home.try_send(lines));
    }
}

/// One shard's end.
pub struct Journal {
    format: RefCell<Option<Arc<dyn LineFormat>>>,
    current: RefCell<Vec<u8>>,
    writer: Option<WriterHandle>,
    home: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    made: Cell<usize>,
    first_line: Rc<Notify>,
    counters: Arc<ShardCounters>,
}

impl Journal {
    /// A journal without a format drops every record at no cost.
    #[must_use]
    pub fn new(writer: Option<WriterHandle>, counters: Arc<ShardCounters>) -> Self {
        let (home, returned) = sync_channel(BUFFERS);
        Self {
            format: RefCell::new(None),
            current: RefCell::new(Vec::new()),
            writer,
            home,
            returned,
            made: Cell::new(0),
            first_line: Rc::new(Notify::new()),
            counters,
        }
    }

    /// Sets the format of the lines from now on; none turns the log off.
    pub fn set_format(&self, format: Option<Arc<dyn LineFormat>>) {
        *self.format.borrow_mut() = format;
    }

    /// Whether records are written at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.format.borrow().is_some()
    }

    /// Writes one record's line.
    pub fn write(&self, record: &Record<'_>) {
        let format = self.format.borrow();
        let Some(format) = format.as_ref() else { return };
        let mut current = self.current.borrow_mut();
        if current.capacity() == 0 {
            match self.spare() {
                Some(buffer) => *current = buffer,
                None => return self.counters.log_dropped.add(1),
            }
        }
        if current.is_empty() {
            self.first_line.notify_one();
        }
        format.write(record, &mut current);
        if current.len() >= CAPACITY / 2 {
            drop(current);
            self.flush();
        }
    }

    /// Hands over what has gathered. When the writer is behind, the lines stay until there is no more room.
    pub fn flush(&self) {
        let mut current = self.current.borrow_mut();
        let Some(writer) = &self.writer else { return current.clear() };
        if current.is_empty() {
            return;
        }
        let parcel = Parcel { lines: std::mem::take(&mut *current), home: self.home.clone() };
        match writer.full.try_send(parcel) {
            Ok(()) => {}
            Err(TrySendError::Full(parcel) | TrySendError::Disconnected(parcel)) => {
                *current = parcel.lines;
                if current.len() >= CAPACITY {
                    self.counters
                        .log_dropped
                        .add(current.iter().filter(|byte| **byte == b'\n').count() as u64);
                    current.clear();
                }
            }
        }
    }

    /// Hands lines over 200 ms after the first of a buffer, for ever. Sleeps while there are none.
    pub async fn drive(&self) {
        loop {
            self.first_line.notified().await;
            tokio::time::sleep(DELAY).await;
            self.flush();
        }
    }

    fn spare(&self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.returned.try_recv() {
            return Some(buffer);
        }
        if self.made.get() >= BUFFERS {
            return None;
        }
        self.made.set(self.made.get() + 1);
        Some(Vec::with_capacity(CAPACITY))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_types::Protocol;
    use std::sync::Mutex;

    struct Numbered;
    impl LineFormat for Numbered {
        fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("{:>100}\n", record.status).as_bytes());
        }
    }

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);
    impl LineSink for Seen {
        fn write(&mut self, lines: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(lines);
        }
        fn idle(&mut self) {}
    }

    fn record(status: u16) -> Record<'static> {
        Record {
            started_ms: 0,
            elapsed: Duration::ZERO,
            listener: "proxy",
            protocol: Protocol::Http,
            client: "127.0.0.1:1".parse().unwrap(),
            user: None,
            method: "GET",
            host: None,
            port: 0,
            path: b"/",
            status,
            bytes_up: 0,
            bytes_down: 0,
            verb: "direct",
            rule: 0,
            upstream: None,
            outcome: "ok",
            user_agent: b"",
            referer: b"",
        }
    }

    #[test]
    fn every_line_reaches_the_writer_in_order() {
        let (handle, writer) = Writer::new(1);
        let counters = Arc::new(ShardCounters::default());
        let journal = Journal::new(Some(handle), Arc::clone(&counters));
        journal.set_format(Some(Arc::new(Numbered)));
        for status in 0..500 {
            journal.write(&record(status));
        }
        drop(journal);
        let seen = Seen::default();
        writer.run(seen.clone());
        let text = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
        let numbers: Vec<u16> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        assert_eq!(counters.log_dropped.get(), 0);
    }

    #[test]
    fn a_writer_that_is_behind_costs_lines_and_never_a_wait() {
        let (handle, writer) = Writer::new(1);
        let counters = Arc::new(ShardCounters::default());
        let journal = Journal::new(Some(handle), Arc::clone(&counters));
        journal.set_format(Some(Arc::new(Numbered)));
        for _ in 0..10_000 {
            journal.write(&record(1));
        }
        assert!(counters.log_dropped.get() > 5_000);
        drop((journal, writer));
    }
}
