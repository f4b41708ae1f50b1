//! Counts a request and writes its line of the access log.

use super::SiteService;
use shoalway_http::service::Settled;
use shoalway_net::counters::VerbLabel;
use shoalway_net::shard::Shard;
use shoalway_types::{Protocol, Record};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use shoalway_wire::http1::target::RequestTarget;
use std::net::SocketAddr;
use std::rc::Rc;

impl SiteService {
    pub(super) fn write(&self, shard: &Rc<Shard>, request: Option<RequestView<'_>>, settled: &Settled) {
        let counters = &self.arrival.counters;
        let label = if self.to_upstream().is_some() { VerbLabel::Direct } else { VerbLabel::None };
        counters.request(label, settled.status);
        counters.bytes_up.add(settled.bytes_up);
        counters.bytes_down.add(settled.bytes_down);
        counters.durations.observe(settled.elapsed);
        if shard.journal().is_on() {
            self.record(shard, request, settled);
        }
    }

    fn record(&self, shard: &Rc<Shard>, request: Option<RequestView<'_>>, settled: &Settled) {
        let path = match request.map(|request| request.target()) {
            Some(RequestTarget::Absolute { path, .. } | RequestTarget::Origin(path)) => path,
            Some(RequestTarget::Authority(_) | RequestTarget::Asterisk) | None => &[],
        };
        let field = |known| request.and_then(|request| request.get(known)).unwrap_or_default();
        let target = match &self.learned.place {
            Some(place) if request.is_some() => place.target.as_deref(),
            Some(_) | None => None,
        };
        let route = self.route.as_deref();
        // A file is no address.
        let upstream = settled.upstream.filter(|addr| addr.port() != 0);
        shard.journal().write(&Record {
            started_ms: settled.started_ms,
            elapsed: settled.elapsed,
            listener: &self.gateway().plan.settings().listener,
            protocol: Protocol::Http,
            client: SocketAddr::new(self.client, self.arrival.peer.port()),
            user: None,
            method: request.map_or("", |request| request.method_str()),
            host: target.map(|target| &target.host),
            port: target.map_or(0, |target| target.port),
            path,
            status: settled.status,
            bytes_up: settled.bytes_up,
            bytes_down: settled.bytes_down,
            verb: route.map_or("", |route| route.word),
            rule: route.map_or(0, |route| route.number),
            upstream,
            outcome: match (settled.outcome, self.outcome) {
                ("ok", Some(outcome)) => outcome,
                (outcome, _) => outcome,
            },
            user_agent: field(Known::UserAgent),
            referer: field(Known::Referer),
        });
    }
}
