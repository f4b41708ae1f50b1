//! The answers of one kept-alive connection, put together from what the socket gives.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use anyhow::{Context, bail};
use memchr::memmem;
use rustix::event::epoll::EventFlags;

use super::Plan;
use crate::reactor::Reactor;
use crate::wire::get_reply;

/// A connection with at most one request under way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// What has come of an answer that is not complete; usually empty, small answers come whole.
    partial: Vec<u8>,
    /// Whether an answer has come on it.
    used: bool,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    /// A right answer; the connection may carry the next request, or may not.
    Answered {
        reusable: bool,
    },
    /// It closed before any byte of this answer, having carried others.
    Unanswered,
}

impl Connection {
    /// A new one to the plan's proxy, watched under `token`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(plan: &Plan, reactor: &Reactor, token: u64) -> anyhow::Result<Self> {
        let stream = plan.sources.connect(plan.proxy)?;
        stream.set_nonblocking(true)?;
        reactor.add(&stream, token, EventFlags::IN)?;
        Ok(Self { stream, partial: Vec::new(), used: false })
    }

    /// Takes what has come of an answer whose body has `body` bytes.
    ///
    /// # Errors
    /// When the answer is wrong, incomplete, or followed by bytes that nobody asked for.
    pub(super) fn receive(&mut self, scratch: &mut [u8], body: u64) -> anyhow::Result<Progress> {
        let count = match self.stream.read(scratch) {
            Ok(0) if self.is_idle() => return Ok(Progress::Unanswered),
            Ok(0) => bail!("closed before the answer was complete"),
            Ok(count) => count,
            // The event was for the connection that had this number before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waiting),
            Err(error) if error.kind() == ErrorKind::ConnectionReset && self.is_idle() => {
                return Ok(Progress::Unanswered);
            }
            Err(error) => return Err(error).context("answer"),
        };
        let read = scratch.get(..count).unwrap_or_default();
        if self.partial.is_empty()
            && let Some(progress) = progress(read, body)?
        {
            self.used = true;
            return Ok(progress);
        }
        self.partial.extend_from_slice(read);
        let Some(progress) = progress(&self.partial, body)? else { return Ok(Progress::Waiting) };
        self.partial.clear();
        self.used = true;
        Ok(progress)
    }

    /// Whether a close at this moment says nothing about the request that was just sent.
    pub(super) fn is_idle(&self) -> bool {
        self.used && self.partial.is_empty()
    }
}

fn progress(buf: &[u8], body: u64) -> anyhow::Result<Option<Progress>> {
    let Some(length) = get_reply(buf, body)? else { return Ok(None) };
    if length != buf.len() {
        bail!("{} bytes after the answer", buf.len() - length);
    }
    let head = buf.get(..length.saturating_sub(usize::try_from(body).unwrap_or(0))).unwrap_or_default();
    Ok(Some(Progress::Answered { reusable: !closes(head) }))
}

/// Whether the head of an answer says that its connection closes.
pub(super) fn closes(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.0")
        || memmem::find(head, b"onnection: close").is_some()
        || memmem::find(head, b"onnection: Close").is_some()
}
