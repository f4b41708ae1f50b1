//! Carries a stream to its end: the PROXY header in front, the relay, and what is written down of it afterwards.
//!
//! The header goes out in one write with what the client has sent already. Not here: moving bytes (`net/relay`).

use super::Session;
use super::link::Link;
use crate::stream_plan::StreamLimits;
use crate::upstream::{FailureKind, Outcome};
use shoalway_net::clock;
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_net::relay::{self, End, relay};
use std::future::poll_fn;
use std::task::{Context, Poll};

/// Relays until both directions have ended.
pub(super) async fn carry(session: Session, link: Link, limits: &StreamLimits) {
    let Session { shard, mut stream, deadline, mut facts } = session;
    let Link { stream: endpoint, addr, picked, permit, header } = link;
    facts.connected(picked.set().name(), addr);
    let header = header.unwrap_or_default();
    stream.unread(&header);
    let total = limits.total.map(|limit| {
        let total = shard.deadline();
        total.after(limit, Wait::Busy);
        total
    });
    let mut relay = relay(&shard, stream, endpoint, &deadline, limits.idle);
    let outcome = poll_fn(|cx| poll_within(cx, &mut relay, &deadline, total.as_ref())).await;
    facts.up = outcome.up.saturating_sub(header.len() as u64);
    facts.down = outcome.down;
    let over = total.is_some_and(|total| total.expired().is_some());
    facts.outcome = if outcome.end == End::Ended && over { "total_limit" } else { outcome.end.word() };
    let now = picked.set().moment(clock::now());
    picked.finish(judge(&outcome), now);
    drop(permit);
}

fn poll_within(
    cx: &mut Context<'_>,
    relay: &mut relay::Relay<'_>,
    deadline: &Deadline,
    total: Option<&Deadline>,
) -> Poll<relay::Outcome> {
    let mut relay = std::pin::pin!(relay);
    if let Poll::Ready(outcome) = relay.as_mut().poll(cx) {
        return Poll::Ready(outcome);
    }
    if total.is_some_and(|total| total.poll(cx).is_ready()) {
        deadline.end();
        return relay.poll(cx);
    }
    Poll::Pending
}

/// What the end says about the endpoint: a connection that broke before it carried an answer is its fault.
const fn judge(outcome: &relay::Outcome) -> Outcome {
    match outcome.end {
        End::SecondBroke if outcome.down == 0 => Outcome::Failure(FailureKind::Broken),
        End::Finished | End::Idle | End::Ended | End::FirstBroke | End::SecondBroke => Outcome::Success,
    }
}
