//! What waits in a node's links stays within a quarter of the program's memory (section 8).
//!
//! Each circuit has its windows and each client its bound; this is the bound of all together. Over it the circuit in which most
//! waits ends, until the rest fits. Looked at twice a second, since windows let no more in between than that bears. Not here:
//! the other bounds (`overlay-proto`).

use super::Node;
use crate::link::LinkHandle;
use shoalway_net::deadline::Wait;
use shoalway_net::shard::Shard;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Which part of the program's memory may wait in links.
const PART: u64 = 4;

/// Looks after a node's part of a shard as long as both are there.
pub(super) async fn keep(node: Weak<Node>, shard: Weak<Shard>) {
    loop {
        let Some((deadline, limit)) = shard.upgrade().map(|shard| (shard.deadline(), limit(&shard))) else {
            return;
        };
        deadline.after(LOOK, Wait::Busy);
        std::future::poll_fn(|cx| deadline.poll(cx)).await;
        let Some(node) = node.upgrade() else { return };
        let mut links: Vec<Rc<LinkHandle>> = node.links.borrow().values().filter_map(Weak::upgrade).collect();
        shed_over(limit, &mut links, |link| link.buffered(), |link| link.shed());
    }
}

/// A shard's share of the quarter.
fn limit(shard: &Shard) -> usize {
    let fleet = shard.fleet();
    let shards = u64::try_from(fleet.len()).unwrap_or(1).max(1);
    usize::try_from(fleet.memory() / PART / shards).unwrap_or(usize::MAX)
}

/// Sheds from the fullest until all together are within the limit, or nothing more can be shed.
fn shed_over<L>(limit: usize, links: &mut [L], held: impl Fn(&L) -> usize, shed: impl Fn(&mut L) -> usize) {
    let mut all: usize = links.iter().map(&held).sum();
    while all > limit {
        let Some(fullest) = links.iter_mut().max_by_key(|link| held(link)) else { return };
        let freed = shed(fullest);
        if freed == 0 {
            return;
        }
        all = all.saturating_sub(freed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_gives_first_and_no_more_than_has_to_be() {
        for (limit, before, after) in [
            (100, [40, 30, 20], [40, 30, 20]),
            (80, [40, 30, 20], [30, 30, 20]),
            (60, [40, 30, 20], [20, 20, 20]),
            (0, [5, 0, 0], [0, 0, 0]),
        ] {
            let mut links = before;
            // Each circuit holds ten, or what is left.
            shed_over(
                limit,
                &mut links,
                |held| *held,
                |held| {
                    let freed = (*held).min(10);
                    *held -= freed;
                    freed
                },
            );
            assert_eq!(links, after, "at most {limit}");
        }
    }

    #[test]
    fn what_cannot_be_shed_is_not_asked_for_for_ever() {
        let mut links = [50, 50];
        shed_over(10, &mut links, |held| *held, |_held| 0);
        assert_eq!(links, [50, 50]);
    }
}
