//! One stream at one end of a circuit: its windows, its line of bytes, which directions are open (section 7.2, 8).

use super::credit::{ReceiveWindow, SendWindow};
use super::directory::Directory;
use crate::Moment;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// OPEN is not answered yet.
    pub(super) connecting: bool,
    /// Bytes may be sent before it is.
    pub(super) optimistic: bool,
    /// It speaks with the directory of the exit, not with a destination.
    pub(super) directory: Option<Directory>,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    queue: VecDeque<Bytes>,
    queued: usize,
    pub(super) outgoing: Outgoing,
    /// FIN came.
    pub(super) fin_received: bool,
    pub(super) deficit: usize,
    /// It stands in the ring.
    pub(super) waits: bool,
    /// It owes a CREDIT and stands in their line.
    pub(super) credit_due: bool,
    /// The driver found no room and is to be told when there is.
    pub(super) wants: bool,
    /// It stands in the line of those for which the circuit's is too long.
    pub(super) waiting: bool,
    /// When bytes went last, or when the stream was asked for.
    pub(super) active: Moment,
}

/// The direction that this end sends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    Open,
    /// FIN goes out behind the last byte.
    Ending,
    /// FIN went out.
    Ended,
}

impl Stream {
    pub(super) fn new(send: u32, receive: u32, now: Moment) -> Self {
        Self {
            connecting: true,
            optimistic: false,
            directory: None,
            send: SendWindow::new(send, MAX_CREDIT),
            receive: ReceiveWindow::new(receive, MAX_STREAM_WINDOW, now),
            queue: VecDeque::new(),
            queued: 0,
            outgoing: Outgoing::Open,
            fin_received: false,
            deficit: 0,
            waits: false,
            credit_due: false,
            wants: false,
            waiting: false,
            active: now,
        }
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes the driver may add, apart from the circuit's bound: never more than the other end has granted.
    pub(super) fn room(&self) -> usize {
        let may_send = !self.connecting || self.optimistic;
        if !may_send || self.outgoing != Outgoing::Open || self.queue.len() >= MAX_PIECES {
            return 0;
        }
        self.send.left().min(MAX_QUEUED).saturating_sub(self.queued)
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.queue.push_back(bytes);
    }

    /// What the stream would send now.
    pub(super) fn ready(&self) -> Ready {
        if self.connecting && !self.optimistic {
            return Ready::Nothing;
        }
        match self.outgoing {
            Outgoing::Open | Outgoing::Ending if self.queued > 0 => {
                let bytes = self.queued.min(self.send.left());
                if bytes > 0 { Ready::Bytes(bytes) } else { Ready::Nothing }
            }
            Outgoing::Ending => Ready::Fin,
            Outgoing::Open | Outgoing::Ended => Ready::Nothing,
        }
    }

    /// Moves so many bytes, which are ready, from the line into a record.
    pub(super) fn pop_into(&mut self, out: &mut BytesMut, mut bytes: usize) {
        self.queued -= bytes;
        self.send.spend(bytes);
        while bytes > 0
            && let Some(first) = self.queue.front_mut()
        {
            if first.len() > bytes {
                out.put(first.split_to(bytes));
                return;
            }
            bytes -= first.len();
            out.extend_from_slice(first);
            self.queue.pop_front();
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
    }

    /// Both directions have ended.
    pub(super) fn is_over(&self) -> bool {
        self.fin_received && self.outgoing == Outgoing::Ended
    }

    /// One direction has ended.
    pub(super) fn is_half_closed(&self) -> bool {
        self.fin_received || self.outgoing == Outgoing::Ended
    }
}

/// What a stream would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Nothing,
    Bytes(usize),
    Fin,
}

/// Bytes that wait in a stream.
const MAX_QUEUED: usize = 64 * 1024;
/// Pieces that wait in a stream.
const MAX_PIECES: usize = 256;
const KEPT_CAPACITY: usize = 16;
/// A window has at most so many bytes (section 8).
pub(super) const MAX_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// A sum of credit over this is a fault (section 8).
pub(super) const MAX_CREDIT: u32 = 1 << 31;
