//! The sections `[sites."HOST"]`.
//!
//! Not here: routes (`routes`), what they send to (`upstreams`), who listens where (`places`).

use super::bounds::{self, Retries, Tables};
use super::certificates::{self, Defaults};
use super::listeners::address;
use super::places::{By, Manner, Places, leads_to};
use super::upstreams::{self, Found, Kind};
use super::{Check, compress, fallback, routes};
use crate::config::at::{At, NOWHERE, Place};
use crate::config::catalogue::Code;
use crate::config::file::{GateWord, ProxyHeader, SiteSection, SiteTimeouts};
use crate::config::report::Problem;
use crate::config::settings::{
    Fallback, Limit, SiteSettings, SiteTimes, Transport, UpstreamSettings, UpstreamTls,
};
use shoalway_reverse::routes::HostPattern;
use shoalway_reverse::site_plan::Protocol;
use shoalway_reverse::tcp_gateway::gate::GateMode;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// Checks every site; `content` gains what the files hold that they name.
pub(super) fn sites(
    sections: &BTreeMap<String, SiteSection>,
    acme: &Defaults,
    places: &mut Places,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Vec<SiteSettings> {
    let mut sites: Vec<SiteSettings> = Vec::new();
    for (name, section) in sections {
        check.enter(&["sites", name]);
        let Some(host) = site_host(name, place_of(section), check) else { continue };
        if let Some(other) = sites.iter().find(|other| other.host == host) {
            let message = format!("`{name}` and `{}` are the same site", other.name);
            check.add(Problem::new(Code::SameSite, place_of(section), message));
            continue;
        }
        sites.extend(site(name, host, section, acme, places, content, check));
    }
    check.enter(&["sites"]);
    certificates::ways(&mut sites, sections, acme, check);
    sites
}

/// A name, `*.NAME` or `*`.
pub(super) fn site_host(name: &str, place: Place, check: &mut Check<'_>) -> Option<HostPattern> {
    let read = HostPattern::parse(name);
    read.map_err(|error| {
        let problem = Problem::new(Code::SiteName, place, format!("`{name}` is not the name of a site"));
        let problem = problem.label(error.to_string());
        check.add(problem.fix("write a name such as \"app.example.org\", \"*.example.org\" or \"*\""));
    })
    .ok()
}

/// Where mistakes of a whole section are shown.
pub(super) fn place_of(section: &SiteSection) -> Place {
    let SiteSection { listen, to, routes, .. } = section;
    let first = [listen, to, routes].into_iter().flat_map(|many| many.items().iter()).next();
    first.map_or(NOWHERE, At::place)
}

fn site(
    name: &str,
    host: HostPattern,
    section: &SiteSection,
    acme: &Defaults,
    places: &mut Places,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<SiteSettings> {
    let tls = certificates::site(name, section, acme, content, check);
    let manner = Manner {
        tls: section.tls.is_some() || certificates::is_kept(section),
        client_ca: tls.as_ref().and_then(|tls| tls.client_ca.clone()),
        proxy_protocol: *section.proxy_protocol.get(),
        trusted: upstreams::trusted(section.trusted.as_ref(), true, check),
        gate: gate(*section.gate.get()),
    };
    let listen = listen(name, section, &manner, places, check);
    let balance =
        upstreams::balance(&section.balance, section.sticky.as_ref(), &section.slow_start, Kind::Site, check);
    let checks = section.health.as_ref().and_then(|health| upstreams::health(health, Kind::Site, check));
    let bounds = bounds::bounds(
        &Tables {
            breaker: &section.breaker,
            queue: section.queue.as_ref(),
            retries: Retries::Site(&section.retries),
            hedge: section.hedge.as_ref(),
            outliers: &section.outliers,
            panic_below: &section.panic_below,
        },
        check,
    );
    let main = upstreams::list(&section.to, Kind::Site, check);
    leads_away(&main, &section.to.items().iter().map(At::place).collect::<Vec<_>>(), &listen, check);
    let read = routes::routes(&section.routes, &listen, check);
    needs_somewhere(name, section, check);
    let fallback = fallback::fallback(section.fallback.as_ref(), &listen, content, check);
    let fallback_https = matches!(&fallback, Some(fallback::Read::To(found)) if found.has_https());
    let has_https = fallback_https || main.has_https() || read.iter().any(routes::Read::has_https);
    let tls_out = upstreams::tls(section.upstream.as_ref(), has_https, content, check);
    let fallback_found = match &fallback {
        Some(fallback::Read::To(found)) => Some(found),
        Some(fallback::Read::Answer(_)) | None => None,
    };
    let founds = read.iter().filter_map(routes::Read::found).chain(fallback_found).chain([&main]);
    let shares = founds.into_iter().any(Found::has_h2c) || (has_https && tls_out.protocol != Protocol::H1);
    can_be_told(&section.to_proxy_protocol, shares, check);
    let upstream = |name: String, found: Found, tls: &UpstreamTls| UpstreamSettings {
        name,
        endpoints: found.endpoints,
        finders: found.finders,
        balance: balance.clone(),
        checks: checks.clone(),
        tls: tls.clone(),
        bounds,
        header: *section.to_proxy_protocol.get(),
    };
    let to = (!section.to.items().is_empty()).then(|| upstream(name.to_owned(), main, &tls_out));
    let fallback = fallback.map(|read| match read {
        fallback::Read::To(found) => {
            Fallback::To(Box::new(upstream(format!("{name}#fallback"), found, &tls_out)))
        }
        fallback::Read::Answer(answer) => answer,
    });
    let routes = routes::named(name, read, |name, found| upstream(name, found, &tls_out));
    Some(SiteSettings {
        name: name.to_owned(),
        host,
        listen,
        tls,
        to,
        routes,
        gate: manner.gate,
        fallback,
        timeouts: times(section.timeouts.as_ref(), check),
        compress: compress::compression(section.compress.as_ref(), check),
        rate: section.rate.as_ref().and_then(|at| check.events("rate", at)),
        proxy_protocol: manner.proxy_protocol,
        trusted: manner.trusted,
    })
}

/// What a listener does while nobody is healthy.
pub(super) const fn gate(word: GateWord) -> GateMode {
    match word {
        GateWord::Serve => GateMode::Serve,
        GateWord::Refuse => GateMode::Refuse,
        GateWord::Hold => GateMode::Hold,
    }
}

fn listen(
    name: &str,
    section: &SiteSection,
    manner: &Manner,
    places: &mut Places,
    check: &mut Check<'_>,
) -> Vec<SocketAddr> {
    if section.listen.items().is_empty() && !check.is_lost("listen") {
        let problem =
            Problem::new(Code::Missing, place_of(section), format!("the site `{name}` has no `listen`"));
        check.add(problem.fix("write listen = [\"0.0.0.0:443\"], or 127.0.0.1:8080 to try it"));
    }
    let mut all = Vec::new();
    for at in section.listen.items() {
        if let Some(addr) = address(at, check) {
            places.take(addr, Transport::Tcp, By::Site(manner.clone()), at, check);
            if !all.contains(&addr) {
                all.push(addr);
            }
        }
    }
    all
}

/// A PROXY header speaks for one client, and connections of HTTP/2 are shared by all.
fn can_be_told(at: &At<ProxyHeader>, shares: bool, check: &mut Check<'_>) {
    if *at.get() != ProxyHeader::Off && shares {
        let message = "`to_proxy_protocol` does not go with HTTP/2 to upstreams";
        let problem = Problem::new(Code::Mixed, at.place(), message);
        let problem =
            problem.label("the header names one client, and connections of HTTP/2 are shared by all");
        check.add(problem.fix("write http:// for h2c://, and leave `protocol` out of `upstream`"));
    }
}

fn needs_somewhere(name: &str, section: &SiteSection, check: &mut Check<'_>) {
    let lost = check.is_lost("to") || check.is_lost("routes");
    if section.to.items().is_empty() && section.routes.items().is_empty() && !lost {
        let problem =
            Problem::new(Code::Missing, place_of(section), format!("the site `{name}` has no `to`"));
        check.add(problem.fix("write to = [\"http://127.0.0.1:3000\"], or `routes`"));
    }
}

/// Notes endpoints that are this very site; `places` are those of the endpoints, or fewer.
pub(super) fn leads_away(found: &Found, places: &[Place], listen: &[SocketAddr], check: &mut Check<'_>) {
    for (index, spec) in found.endpoints.iter().enumerate() {
        let shoalway_reverse::upstream::Address::Net(target) = &spec.key.address else { continue };
        let Some(ip) = target.host.ip() else { continue };
        let addr = SocketAddr::new(ip, target.port);
        if listen.iter().any(|own| leads_to(*own, addr)) {
            let place = places.get(index).or_else(|| places.first()).cloned().unwrap_or(NOWHERE);
            let problem = Problem::new(
                Code::SelfUpstream,
                place,
                format!("the upstream {addr} is this listener itself"),
            );
            check.add(problem.label("it leads back here"));
        }
    }
}

fn times(section: Option<&SiteTimeouts>, check: &mut Check<'_>) -> SiteTimes {
    let Some(SiteTimeouts { connect, first_byte, idle, total }) = section else {
        return SiteTimes::default();
    };
    let least = Duration::from_millis(10);
    SiteTimes {
        connect: check.time_if("connect", connect.as_ref(), least..=Duration::from_mins(10)),
        first_byte: check.time_if("first_byte", first_byte.as_ref(), least..=DAY),
        idle: check.time_if("idle", idle.as_ref(), Duration::from_millis(100)..=DAY),
        total: match check.limit_if("total", total.as_ref(), least..=DAY) {
            Some(Limit::After(time)) => Some(time),
            Some(Limit::Off) | None => None,
        },
    }
}
