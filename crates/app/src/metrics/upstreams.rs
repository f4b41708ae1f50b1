//! Metrics of upstreams and their endpoints: states now, totals so far.
//!
//! Labels are names and addresses of the configuration, or that its discovery found: at most [`ENDPOINTS`] of one
//! upstream have series of their own. An endpoint that goes takes its series along, so that no total ever falls.

use super::{Kind, Page};
use shoalway_reverse::breaker::Bound;
use shoalway_reverse::moment::Moment;
use shoalway_reverse::upstream::{Endpoint, Upstream, UpstreamSet};
use std::sync::Arc;
use tokio::time::Instant;

/// Endpoints of one upstream that have series of their own.
const ENDPOINTS: usize = 256;

struct Of<C: 'static + ?Sized> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: &'static C,
}

type OfEndpoint = dyn Fn(&Endpoint, Moment) -> u64 + Sync;
type OfUpstream = dyn Fn(&Upstream, &UpstreamSet, Moment) -> u64 + Sync;

const PER_UPSTREAM: [Of<OfUpstream>; 8] = [
    Of {
        name: "shoalway_upstream_endpoints",
        kind: Kind::Gauge,
        help: "Endpoints of the upstream.",
        of: &|_, set, now| count(set.availability(now).endpoints),
    },
    Of {
        name: "shoalway_upstream_available",
        kind: Kind::Gauge,
        help: "Endpoints that are neither drained nor without weight.",
        of: &|_, set, now| count(set.availability(now).available),
    },
    Of {
        name: "shoalway_upstream_healthy",
        kind: Kind::Gauge,
        help: "Available endpoints that neither checks nor failures speak against.",
        of: &|_, set, now| count(set.availability(now).healthy),
    },
    Of {
        name: "shoalway_upstream_requests",
        kind: Kind::Gauge,
        help: "Requests under way.",
        of: &|upstream, _, _| upstream.breaker().used(Bound::Requests).into(),
    },
    Of {
        name: "shoalway_upstream_pending",
        kind: Kind::Gauge,
        help: "Requests that wait for an endpoint or a connection.",
        of: &|upstream, _, _| upstream.breaker().used(Bound::Pending).into(),
    },
    Of {
        name: "shoalway_upstream_breaker_open_total",
        kind: Kind::Counter,
        help: "Times a circuit breaker let nothing more through.",
        of: &|upstream, _, _| {
            let bounds = [Bound::Connections, Bound::Pending, Bound::Requests, Bound::Retries];
            bounds.iter().map(|bound| u64::from(upstream.breaker().refused(*bound))).sum()
        },
    },
    Of {
        name: "shoalway_upstream_hedges_total",
        kind: Kind::Counter,
        help: "Requests that were sent to a second endpoint too.",
        of: &|upstream, _, _| upstream.hedged().0,
    },
    Of {
        name: "shoalway_upstream_hedges_won_total",
        kind: Kind::Counter,
        help: "Of those, the ones that the second endpoint answered first.",
        of: &|upstream, _, _| upstream.hedged().1,
    },
];

const PER_ENDPOINT: [Of<OfEndpoint>; 6] = [
    Of {
        name: "shoalway_endpoint_healthy",
        kind: Kind::Gauge,
        help: "1 while neither checks nor failures speak against the endpoint.",
        of: &|endpoint, now| endpoint.state().is_healthy(now).into(),
    },
    Of {
        name: "shoalway_endpoint_draining",
        kind: Kind::Gauge,
        help: "1 while the operator sends it nothing new.",
        of: &|endpoint, _| endpoint.state().is_draining().into(),
    },
    Of {
        name: "shoalway_endpoint_in_flight",
        kind: Kind::Gauge,
        help: "Requests or streams under way.",
        of: &|endpoint, _| endpoint.state().in_flight().into(),
    },
    Of {
        name: "shoalway_endpoint_successes_total",
        kind: Kind::Counter,
        help: "Requests or streams that ended well.",
        of: &|endpoint, _| endpoint.state().totals().successes,
    },
    Of {
        name: "shoalway_endpoint_failures_total",
        kind: Kind::Counter,
        help: "Requests or streams that failed by the endpoint's fault.",
        of: &|endpoint, _| endpoint.state().totals().failures,
    },
    Of {
        name: "shoalway_endpoint_ejections_total",
        kind: Kind::Counter,
        help: "Times the endpoint was put aside for its failures.",
        of: &|endpoint, _| endpoint.state().totals().ejections,
    },
];

/// All of them; nothing when there are no upstreams.
pub(super) fn render(page: &mut Page, upstreams: &[Arc<Upstream>]) {
    if upstreams.is_empty() {
        return;
    }
    let sets: Vec<_> = upstreams
        .iter()
        .map(|upstream| (upstream, upstream.set(), upstream.moment(Instant::now())))
        .collect();
    for metric in &PER_UPSTREAM {
        page.head(metric.name, metric.kind, metric.help);
        for (upstream, set, now) in &sets {
            let labels = [("upstream", &*upstream.config().name)];
            page.sample(metric.name, &labels, (metric.of)(upstream, set, *now));
        }
    }
    for metric in &PER_ENDPOINT {
        page.head(metric.name, metric.kind, metric.help);
        for (upstream, set, now) in &sets {
            for endpoint in set.endpoints().iter().take(ENDPOINTS) {
                let shown = endpoint.key().to_string();
                let labels = [("upstream", &*upstream.config().name), ("endpoint", shown.as_str())];
                page.sample(metric.name, &labels, (metric.of)(endpoint, *now));
            }
        }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
