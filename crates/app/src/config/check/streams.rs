//! The sections `[streams.NAME]`.
//!
//! Not here: what they send to (`upstreams`), who listens where (`places`).

use super::bounds::{self, Retries, Tables};
use super::exits::is_usable_name;
use super::listeners::address_text;
use super::places::{By, Places};
use super::sites::{gate, leads_away, site_host};
use super::upstreams::{self, Kind};
use super::{Check, certificates};
use crate::config::at::{At, Many, NOWHERE, Place};
use crate::config::catalogue::Code;
use crate::config::file::{GateWord, ProxyHeader, StreamSection, StreamTimeouts, StreamTlsSection};
use crate::config::report::Problem;
use crate::config::settings::{Limit, StreamSettings, StreamTimes, Transport, UpstreamSettings, UpstreamTls};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const MONTH: Duration = Duration::from_hours(24 * 30);
const DATAGRAMS: &str = "udp://";

/// Checks every stream; `content` gains what the files hold that they name.
pub(super) fn streams(
    sections: &BTreeMap<String, StreamSection>,
    places: &mut Places,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Vec<StreamSettings> {
    let mut streams = Vec::new();
    for (name, section) in sections {
        check.enter(&["streams", name]);
        streams.push(stream(name, section, places, content, check));
    }
    streams
}

fn place_of(section: &StreamSection) -> Place {
    let StreamSection { listen, to, sni, .. } = section;
    let first = [listen, to].into_iter().chain(sni.values()).flat_map(|many| many.items().iter()).next();
    first.map_or(NOWHERE, At::place)
}

fn stream(
    name: &str,
    section: &StreamSection,
    places: &mut Places,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> StreamSettings {
    if !is_usable_name(name) {
        let problem =
            Problem::new(Code::Name, place_of(section), format!("`{name}` cannot be the name of a stream"));
        check.add(problem.label("name it with 1 to 64 letters, digits, `-` and `_`"));
    }
    let (transport, listen) = listen(name, section, places, check);
    let kind = match transport {
        Transport::Tcp => Kind::Tcp,
        Transport::Udp => Kind::Udp,
    };
    let balance = upstreams::balance(&section.balance, None, &section.slow_start, kind, check);
    let checks = section.health.as_ref().and_then(|health| upstreams::health(health, kind, check));
    let bounds = bounds::bounds(
        &Tables {
            breaker: &section.breaker,
            queue: None,
            retries: Retries::Stream(&section.retries),
            hedge: None,
            outliers: &section.outliers,
            panic_below: &section.panic_below,
        },
        check,
    );
    let upstream = |name: String, to: &Many, check: &mut Check<'_>| {
        let found = upstreams::list(to, kind, check);
        let at: Vec<Place> = to.items().iter().map(At::place).collect();
        leads_away(&found, &at, &listen, check);
        UpstreamSettings {
            name,
            endpoints: found.endpoints,
            finders: found.finders,
            balance: balance.clone(),
            checks: checks.clone(),
            tls: UpstreamTls::default(),
            bounds,
            header: *section.to_proxy_protocol.get(),
        }
    };
    let to =
        (!section.to.items().is_empty()).then(|| upstream(format!("streams:{name}"), &section.to, check));
    let mut sni = Vec::new();
    for (host, to) in &section.sni {
        let place = to.items().first().map_or(NOWHERE, At::place);
        let settings = upstream(format!("streams:{name}/{host}"), to, check);
        if to.items().is_empty() && !check.is_lost(host) {
            check.add(Problem::new(
                Code::Missing,
                place.clone(),
                format!("`{host}` in `sni` has no upstream"),
            ));
        }
        sni.extend(site_host(host, place, check).map(|host| (host, settings)));
    }
    goes_together(name, section, transport, check);
    StreamSettings {
        name: name.to_owned(),
        transport,
        listen,
        to,
        sni,
        tls: section.tls.as_ref().and_then(|tls| certificates::stream(tls, content, check)),
        timeouts: times(section.timeouts.as_ref(), check),
        rate: section.rate.as_ref().and_then(|at| check.events("rate", at)),
        proxy_protocol: *section.proxy_protocol.get(),
        trusted: upstreams::trusted(section.trusted.as_ref(), *section.proxy_protocol.get(), check),
        gate: gate(*section.gate.get()),
        to_proxy_protocol: *section.to_proxy_protocol.get(),
        accept: *section.accept.get(),
    }
}

fn listen(
    name: &str,
    section: &StreamSection,
    places: &mut Places,
    check: &mut Check<'_>,
) -> (Transport, Vec<SocketAddr>) {
    if section.listen.items().is_empty() && !check.is_lost("listen") {
        let message = format!("the stream `{name}` has no `listen`");
        let problem = Problem::new(Code::Missing, place_of(section), message);
        check.add(problem.fix("write listen = [\"0.0.0.0:5432\"]"));
    }
    let of = |at: &At<String>| match at.get().trim().starts_with(DATAGRAMS) {
        true => Transport::Udp,
        false => Transport::Tcp,
    };
    let transport = section.listen.items().first().map_or(Transport::Tcp, of);
    let mut all = Vec::new();
    for at in section.listen.items() {
        let text = at.get().trim();
        let text = text.strip_prefix(DATAGRAMS).or_else(|| text.strip_prefix("tcp://")).unwrap_or(text);
        if of(at) != transport {
            let message = format!("the stream `{name}` listens for connections and for datagrams");
            check.add(Problem::new(Code::Mixed, at.place(), message).fix("write a stream for each"));
            continue;
        }
        if let Some(addr) = address_text(text, at, check) {
            places.take(addr, transport, By::Stream, at, check);
            all.push(addr);
        }
    }
    (transport, all)
}

/// What a stream needs, and what does not go with datagrams.
fn goes_together(name: &str, section: &StreamSection, transport: Transport, check: &mut Check<'_>) {
    let lost = check.is_lost("to") || check.is_lost("sni");
    if section.to.items().is_empty() && section.sni.is_empty() && !lost {
        let problem =
            Problem::new(Code::Missing, place_of(section), format!("the stream `{name}` has no `to`"));
        check.add(problem.fix("write to = [\"192.0.2.21:5432\"], or `sni`"));
    }
    let tls = section.tls.as_ref().map(|tls| place_of_tls(tls, section));
    if transport == Transport::Tcp {
        if let (Some(place), false) = (tls, section.sni.is_empty()) {
            let message = "`tls` opens connections, and `sni` passes them on unopened";
            let problem = Problem::new(Code::Mixed, place, message).label("one of the two");
            check.add(
                problem.fix("write a stream for each, with its own `listen`; or sites, which choose by name"),
            );
        }
        return;
    }
    let sni = section.sni.values().flat_map(|to| to.items().iter()).next().map(At::place);
    let header = section.proxy_protocol.get().then(|| section.proxy_protocol.place());
    let to_header = section.to_proxy_protocol.place();
    let to_header = (*section.to_proxy_protocol.get() != ProxyHeader::Off).then_some(to_header);
    let gate = (*section.gate.get() != GateWord::Serve).then(|| section.gate.place());
    for (key, place) in [
        ("sni", sni),
        ("tls", tls),
        ("proxy_protocol", header),
        ("to_proxy_protocol", to_header),
        ("gate", gate),
    ] {
        if let Some(place) = place {
            let message = format!("`{key}` does not go with datagrams");
            check.add(Problem::new(Code::Mixed, place, message).label("leave it out"));
        }
    }
}

/// Where a mistake in `tls` as a whole is shown.
fn place_of_tls(tls: &StreamTlsSection, section: &StreamSection) -> Place {
    let StreamTlsSection { cert, key, client_ca, alpn } = tls;
    let texts = [cert, key, client_ca].into_iter().flatten().chain(alpn.iter().flat_map(Many::items));
    texts.map(At::place).min_by_key(|place| place.start).unwrap_or_else(|| place_of(section))
}

fn times(section: Option<&StreamTimeouts>, check: &mut Check<'_>) -> StreamTimes {
    let Some(StreamTimeouts { connect, idle, total }) = section else { return StreamTimes::default() };
    let second = Duration::from_secs(1);
    StreamTimes {
        connect: check.time_if(
            "connect",
            connect.as_ref(),
            Duration::from_millis(10)..=Duration::from_mins(10),
        ),
        idle: check.limit_if("idle", idle.as_ref(), Duration::from_millis(100)..=MONTH),
        total: match check.limit_if("total", total.as_ref(), second..=MONTH) {
            Some(Limit::After(time)) => Some(time),
            Some(Limit::Off) | None => None,
        },
    }
}
