//! How long an exchange may wait for whom, and what happens when that is over.

use super::{Ended, Exchange, HALF_CLOSED, Stage};
use crate::h1::ServerConfig;
use crate::h1::body::Waits;
use crate::h1::exchange::Around;
use crate::service::Failed;
use shoalway_net::clock;
use shoalway_net::connect::ConnectError;
use std::task::{Context, Poll};
use std::time::Duration;

impl Exchange {
    /// The wait took too long. `None`: there is an answer to send first.
    pub(in crate::h1) fn timed_out(&mut self, around: &mut Around<'_>) -> Option<Ended> {
        let client_late =
            matches!(self.stage, Stage::Flowing) && !self.up_over && self.up.waits == Waits::Source;
        match &self.stage {
            Stage::Replying | Stage::Over => Some(self.broken("client_timeout")),
            Stage::Flowing if self.answered => {
                let word =
                    if self.down.waits == Waits::Sink { "client_timeout" } else { "http_response_timeout" };
                Some(self.broken(word))
            }
            Stage::Flowing if client_late => {
                self.fail(around, &Failed::ClientTimeout);
                None
            }
            Stage::Flowing => {
                self.fail(around, &Failed::UpstreamTimeout);
                None
            }
            Stage::Connecting(_) | Stage::Tunnelling(_) | Stage::Deciding(_) => {
                let error = ConnectError::timeout(around.config.net.connect);
                self.fail(around, &Failed::Connect(error));
                None
            }
        }
    }

    /// How long what is waited for may take (the service's patience with an attempt included), when something has moved since the last time; else `None`.
    pub(in crate::h1) fn limit(
        &mut self,
        config: &ServerConfig,
        patience: Option<Duration>,
    ) -> Option<Duration> {
        let stage = match self.stage {
            Stage::Deciding(_) => 1,
            Stage::Connecting(_) | Stage::Tunnelling(_) => 2,
            Stage::Flowing => 3,
            Stage::Replying | Stage::Over => 4,
        };
        let moved = 1
            + stage
            + 8 * (self.up.content
                + self.down.content
                + self.up_out.moved()
                + self.down_out.moved()
                + u64::from(self.answered)
                + u64::from(self.client_ended));
        let on_client = self.waits_for_client();
        if on_client && self.waiting_since.is_none() {
            self.waiting_since = Some(clock::now());
        }
        if moved == self.moved {
            return None;
        }
        self.moved = moved;
        let limits = &config.net;
        let patience = patience.unwrap_or(Duration::MAX);
        Some(match self.stage {
            Stage::Deciding(_) | Stage::Connecting(_) | Stage::Tunnelling(_) => {
                (limits.connect + Duration::from_secs(1)).min(patience)
            }
            Stage::Flowing if on_client => limits.body_idle.min(self.pace.patience(limits.min_rate)),
            Stage::Flowing if !self.answered && self.up_over && self.client_ended => {
                limits.first_byte.min(HALF_CLOSED).min(patience)
            }
            Stage::Flowing if !self.answered && self.up_over => limits.first_byte.min(patience),
            Stage::Flowing => limits.body_idle,
            Stage::Replying | Stage::Over => limits.body_idle.min(self.pace.patience(limits.min_rate)),
        })
    }

    fn waits_for_client(&self) -> bool {
        match self.stage {
            Stage::Flowing if self.answered => self.down.waits == Waits::Sink,
            Stage::Flowing => !self.up_over && self.up.waits == Waits::Source,
            Stage::Replying => true,
            Stage::Deciding(_) | Stage::Connecting(_) | Stage::Tunnelling(_) | Stage::Over => false,
        }
    }

    /// Books the time that was spent waiting for the client.
    pub(super) fn count_wait(&mut self) {
        let Some(since) = self.waiting_since.take() else { return };
        let bytes = self.up.content + self.down.content;
        self.pace.moved(bytes.saturating_sub(self.pace_bytes), clock::now().saturating_duration_since(since));
        self.pace_bytes = bytes;
    }

    /// Notices that the client has ended its direction, or broken its connection, while only the upstream is waited
    /// for.
    pub(super) fn watch_client(&mut self, cx: &mut Context<'_>, around: &Around<'_>) {
        if self.client_ended || !self.up_over {
            return;
        }
        let Some(socket) = around.client.plain_tcp() else { return };
        if socket.poll_read_ready(cx).is_ready() {
            let either = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
            let ready = std::pin::pin!(socket.ready(either));
            if let Poll::Ready(Ok(ready)) = ready.poll(cx) {
                self.client_ended = ready.is_read_closed();
                // Both directions at once: a reset. A client that just closed looks like one that still reads.
                self.client_gone = ready.is_read_closed() && ready.is_write_closed();
            }
        }
    }
}
