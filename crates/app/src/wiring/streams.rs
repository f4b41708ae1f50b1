//! Plans of the streams: for connections, and for datagrams.
//!
//! Not here: upstreams (`upstreams`), what a plan does (`reverse`).

use super::certificates::SiteCertificates;
use super::rates::RateKeeper;
use super::upstreams::Maker;
use super::{FOR_EVER, Plan, WiringError, limits};
use crate::config::Settings;
use crate::config::file::{AcceptMode as AcceptWord, ProxyHeader};
use crate::config::settings::{Limit, StreamSettings, Transport};
use crate::node::NodePart;
use crate::run::listeners::Listening;
use shoalway_net::dialer::Dialer;
use shoalway_policy::{Cidr, CidrSet};
use shoalway_reverse::moment::Epoch;
use shoalway_reverse::routes::HostPattern;
use shoalway_reverse::sni::{SniMap, SniPattern, SniRule};
use shoalway_reverse::stream_plan::{
    AcceptMode, Additions, Preconnect, ProxyIn, ProxyOut, Route, StreamCounters, StreamLimits, StreamPlan,
};
use shoalway_reverse::udp_gateway::{DatagramCounters, DatagramLimits, DatagramPlan, Networks};
use shoalway_types::Host;
use std::collections::HashMap;
use std::sync::Arc;

/// Peers whose PROXY headers are believed when nobody says whose: those that no stranger can be.
const NEAR: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// What is counted of a stream's listener, kept over reloads.
#[derive(Clone, Default)]
pub(super) struct StreamKeeper {
    counted: HashMap<Arc<str>, StreamCounted>,
}

/// Of one listener.
#[derive(Clone)]
struct StreamCounted {
    streams: Arc<[StreamCounters]>,
    datagrams: Arc<[DatagramCounters]>,
    networks: Arc<Networks>,
}

impl StreamKeeper {
    fn of(&mut self, listener: &Arc<str>, shards: usize) -> &StreamCounted {
        self.counted.entry(Arc::clone(listener)).or_insert_with(|| StreamCounted {
            streams: StreamCounters::for_shards(shards),
            datagrams: DatagramCounters::for_shards(shards),
            networks: Arc::default(),
        })
    }
}

/// What all streams are built from.
pub(super) struct Ground<'a> {
    pub(super) settings: &'a Settings,
    pub(super) dialer: &'a Dialer,
    pub(super) epoch: Epoch,
    pub(super) connections: usize,
    /// The node whose door is in one of the sites.
    pub(super) node: Option<Arc<NodePart>>,
}

/// The plan of a stream's listener; none when there is no such stream.
///
/// # Errors
/// [`WiringError`] when a part cannot be made.
pub(super) fn plan(
    name: &str,
    listening: &Listening,
    from: &Ground<'_>,
    maker: &mut Maker<'_>,
    keeper: &mut StreamKeeper,
    certificates: &mut SiteCertificates,
    rates: &mut RateKeeper,
) -> Result<Option<Plan>, WiringError> {
    let Some(stream) = from.settings.streams.iter().find(|stream| stream.name == name) else {
        return Ok(None);
    };
    let listener = &listening.counted.name;
    let shards = listening.counted.shards.len();
    let counted = keeper.of(listener, shards).clone();
    let dialer = from.dialer.clone();
    let Some(route) = route(stream, maker)? else { return Ok(None) };
    let rate = rates.table(&format!("streams:{name}"), stream.rate);
    let plan = match (stream.transport, route) {
        (Transport::Tcp, route) => {
            let mut plan = StreamPlan::new(Arc::clone(listener), route, dialer, from.epoch, shards);
            plan.accept = accept(stream.accept);
            plan.gate = stream.gate;
            plan.proxy_in = if stream.proxy_protocol {
                ProxyIn::From(believed(stream.trusted.as_deref()))
            } else {
                ProxyIn::Off
            };
            plan.tls = certificates.stream(listener, stream)?;
            plan.proxy_out = proxy_out(stream.to_proxy_protocol);
            plan.limits = stream_limits(stream, from);
            plan.counters = counted.streams;
            plan.rate = rate;
            Plan::Stream(Arc::new(plan))
        }
        (Transport::Udp, Route::One(upstream)) => {
            let mut plan = DatagramPlan::new(Arc::clone(listener), upstream, dialer, from.epoch, shards);
            plan.limits = datagram_limits(stream);
            plan.counters = counted.datagrams;
            plan.rate = rate;
            plan.networks = counted.networks;
            Plan::Datagrams(Arc::new(plan))
        }
        // The check has refused it.
        (Transport::Udp, Route::Sni(_)) => return Ok(None),
    };
    Ok(Some(plan))
}

fn route(stream: &StreamSettings, maker: &mut Maker<'_>) -> Result<Option<Route>, WiringError> {
    if stream.sni.is_empty() {
        return stream.to.as_ref().map(|to| maker.upstream(to).map(Route::One)).transpose();
    }
    let mut rules = Vec::new();
    for (host, to) in &stream.sni {
        let name = match host {
            HostPattern::Any => SniPattern::Any,
            HostPattern::Below(name) => SniPattern::Below(name.clone()),
            HostPattern::Exact(Host::Name(name)) => SniPattern::Exact(name.clone()),
            // Nobody asks for an address by SNI, RFC 6066 section 3.
            HostPattern::Exact(Host::Ip(_)) => continue,
        };
        rules.push(SniRule { name, alpn: Vec::new(), to: maker.upstream(to)? });
    }
    if let Some(to) = &stream.to {
        rules.push(SniRule { name: SniPattern::Any, alpn: Vec::new(), to: maker.upstream(to)? });
    }
    Ok(Some(Route::Sni(SniMap::new(rules))))
}

fn accept(word: AcceptWord) -> AcceptMode {
    match word {
        AcceptWord::Lazy => AcceptMode::Lazy,
        AcceptWord::Eager => AcceptMode::Eager,
        AcceptWord::Preconnect => AcceptMode::Preconnect(Preconnect::default()),
        AcceptWord::Defer => AcceptMode::Defer,
    }
}

/// What upstreams are told.
pub(super) const fn proxy_out(header: ProxyHeader) -> ProxyOut {
    match header {
        ProxyHeader::Off => ProxyOut::Off,
        ProxyHeader::V1 => ProxyOut::V1,
        ProxyHeader::V2 => {
            ProxyOut::V2(Additions { checksum: true, authority: true, tls: true, unique_id: false })
        }
    }
}

/// Peers whose headers are believed.
pub(super) fn believed(trusted: Option<&[Cidr]>) -> CidrSet {
    match trusted {
        Some(networks) => networks.iter().copied().collect(),
        None => NEAR.iter().filter_map(|network| Cidr::parse(network).ok()).collect(),
    }
}

fn stream_limits(stream: &StreamSettings, from: &Ground<'_>) -> StreamLimits {
    let general = limits(&from.settings.limits, from.connections);
    // All of a stream's upstreams are bounded alike.
    let first = stream.to.iter().chain(stream.sni.iter().map(|(_, upstream)| upstream)).next();
    StreamLimits {
        head: general.head,
        connect: stream.timeouts.connect.unwrap_or(general.connect),
        idle: match stream.timeouts.idle {
            Some(Limit::After(time)) => time,
            Some(Limit::Off) => FOR_EVER,
            None => general.tunnel_idle,
        },
        total: stream.timeouts.total,
        tries: first.map_or(StreamLimits::default().tries, |upstream| upstream.bounds.retry.tries),
        ..StreamLimits::default()
    }
}

fn datagram_limits(stream: &StreamSettings) -> DatagramLimits {
    let usual = DatagramLimits::default();
    let idle = match stream.timeouts.idle {
        Some(Limit::After(time)) => time,
        Some(Limit::Off) => FOR_EVER,
        None => usual.idle,
    };
    DatagramLimits { idle, unanswered: usual.unanswered.min(idle), ..usual }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_only_near_peers_are_believed() {
        let near = believed(None);
        for (peer, wanted) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("fd00::1", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(near.contains(peer.parse().unwrap()), wanted, "{peer}");
        }
        let named = believed(Some(&[Cidr::parse("192.0.2.0/24").unwrap()]));
        assert!(
            named.contains("192.0.2.1".parse().unwrap()) && !named.contains("127.0.0.1".parse().unwrap())
        );
        assert_eq!(NEAR.iter().filter(|network| Cidr::parse(network).is_err()).count(), 0);
    }
}
