//! One datagram socket of an association, with a short queue for what it does not take at once.
//!
//! Not here: opening it (`net/udp`), what datagrams mean.

use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::shard::Shard;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Datagrams that may wait for the socket; more are dropped, as any router would.
const QUEUE: usize = 16;

/// A socket and what waits for it.
pub(super) struct Port {
    socket: UdpSocket,
    unsent: VecDeque<(SocketAddr, Box<[u8]>)>,
}

impl Port {
    pub(super) const fn new(socket: UdpSocket) -> Self {
        Self { socket, unsent: VecDeque::new() }
    }

    /// Sends, queues or drops a datagram.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, to: SocketAddr, bytes: &[u8]) {
        self.flush(cx);
        // An error concerns this datagram alone: too long, no way there. It is gone.
        if self.unsent.is_empty() && self.socket.poll_send_to(cx, bytes, to).is_ready() {
            return;
        }
        if self.unsent.len() < QUEUE {
            self.unsent.push_back((to, bytes.into()));
        }
    }

    /// The next datagram, in a buffer of the shard's.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, shard: &Shard) -> Poll<(Buffer, SocketAddr)> {
        self.flush(cx);
        // As long as any datagram: 64 KiB.
        let mut buffer = shard.buffers().take(Class::Large);
        for _ in 0..QUEUE {
            let mut space = ReadBuf::new(buffer.space());
            // An error tells about a datagram sent before: nobody listens there. The next one may be good.
            if let Ok(from) = std::task::ready!(self.socket.poll_recv_from(cx, &mut space)) {
                let length = space.filled().len();
                buffer.commit(length);
                return Poll::Ready((buffer, from));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        while let Some((to, bytes)) = self.unsent.front() {
            if self.socket.poll_send_to(cx, bytes, *to).is_pending() {
                return;
            }
            self.unsent.pop_front();
        }
    }
}
