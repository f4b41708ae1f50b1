//! What sites and streams send to: endpoints, finders, balancing, health checks, TLS towards upstreams.
//!
//! Reading an endpoint is the reverse crate's work; here its mistakes get their place in the file and their code.

use super::access::network;
use super::units::parse_time;
use super::{Check, unknown_word};
use crate::config::at::{At, Many, Place};
use crate::config::catalogue::Code;
use crate::config::file::{HealthSection, UpstreamProtocol, UpstreamTlsSection};
use crate::config::report::Problem;
use crate::config::settings::{self, Balance, HashBy, Limit, UpstreamTls};
use shoalway_policy::Cidr;
use shoalway_reverse::balance::Algorithm;
use shoalway_reverse::discovery::{Finder, file as lines};
use shoalway_reverse::health::HealthConfig;
use shoalway_reverse::health::grpc::GrpcProbe;
use shoalway_reverse::health::probe::{HttpProbe, Probe, ProbeKind};
use shoalway_reverse::retry::StatusSet;
use shoalway_reverse::site_plan::Protocol;
use shoalway_reverse::upstream::{Address, EndpointSpec, Scheme};
use shoalway_types::{DomainName, Host};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a list of upstreams comes to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) endpoints: Vec<EndpointSpec>,
    pub(super) finders: Vec<Finder>,
}

impl Found {
    /// Whether anything is spoken to by TLS.
    pub(super) fn has_https(&self) -> bool {
        let scheme = |finder: &Finder| match finder {
            Finder::Name { scheme, .. } | Finder::Service { scheme, .. } | Finder::File { scheme, .. } => {
                *scheme
            }
        };
        let file = |finder: &Finder| matches!(finder, Finder::File { .. });
        self.endpoints.iter().any(|spec| spec.key.scheme == Scheme::Https)
            || self.finders.iter().any(|finder| scheme(finder) == Scheme::Https || file(finder))
    }
}

impl Found {
    /// Whether anything is spoken to by HTTP/2 without TLS.
    pub(super) fn has_h2c(&self) -> bool {
        let scheme = |finder: &Finder| match finder {
            Finder::Name { scheme, .. } | Finder::Service { scheme, .. } | Finder::File { scheme, .. } => {
                *scheme
            }
        };
        self.endpoints.iter().any(|spec| spec.key.scheme == Scheme::H2c)
            || self.finders.iter().any(|finder| scheme(finder) == Scheme::H2c)
    }
}

/// Which schemes upstreams may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of a site.
    Site,
    /// Connections as they are.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Kind {
    const fn default_scheme(self) -> Scheme {
        match self {
            Self::Site => Scheme::Http,
            Self::Tcp => Scheme::Tcp,
            Self::Udp => Scheme::Udp,
        }
    }

    fn fits(self, spec: &EndpointSpec) -> Result<(), &'static str> {
        let unix = matches!(spec.key.address, Address::Unix(_));
        match (self, spec.key.scheme) {
            (Self::Site, Scheme::Http | Scheme::Https | Scheme::H2c) | (Self::Tcp, Scheme::Tcp) => Ok(()),
            (Self::Udp, Scheme::Udp) if unix => Err("datagrams do not go to a Unix socket"),
            (Self::Udp, Scheme::Udp) => Ok(()),
            (Self::Site, _) => Err("a site sends to http, https, h2c or unix"),
            (Self::Tcp, _) => Err("a stream sends to HOST:PORT or unix:/PATH"),
            (Self::Udp, _) => Err("a stream of datagrams sends to HOST:PORT"),
        }
    }
}

/// Reads a list of upstreams.
pub(super) fn list(items: &Many, kind: Kind, check: &mut Check<'_>) -> Found {
    let mut found = Found::default();
    for at in items.items() {
        one(at.get(), &at.place(), at, kind, &mut found, check);
    }
    found
}

/// Reads one upstream with its options; `at` is the value it stands in, `place` its own place.
pub(super) fn one(
    text: &str,
    place: &Place,
    at: &At<String>,
    kind: Kind,
    found: &mut Found,
    check: &mut Check<'_>,
) {
    let text = text.trim();
    let read = match text.split_once(':') {
        Some(("dns", rest)) => name(rest, kind).map(|finder| found.finders.push(finder)),
        Some(("srv", rest)) => service(rest, kind).map(|finder| found.finders.push(finder)),
        Some(("file", path)) if !path.is_empty() && !path.starts_with("//") => {
            let path = check.dir(at).join(path);
            found.finders.push(Finder::File { path, scheme: kind.default_scheme() });
            Ok(())
        }
        _ => endpoint(text, kind).map(|spec| found.endpoints.push(spec)),
    };
    if let Err(why) = read {
        let problem = Problem::new(Code::Upstream, place.clone(), format!("`{text}` is not an upstream"));
        check.add(problem.label(why));
    }
}

fn endpoint(text: &str, kind: Kind) -> Result<EndpointSpec, String> {
    if text.contains('#') {
        return Err("an endpoint has no path, query or fragment".to_owned());
    }
    let specs = lines::parse(text, kind.default_scheme()).map_err(|error| match error {
        lines::FileError::Line { fault, .. } => fault.to_string(),
        lines::FileError::Empty => "it is empty".to_owned(),
        other @ (lines::FileError::Read(_) | lines::FileError::TooLarge) => other.to_string(),
    })?;
    let spec = specs.into_iter().next().ok_or("it is empty")?;
    let schemeless = !text.contains("://") && !text.starts_with("unix:");
    if kind == Kind::Site && schemeless {
        return Err(format!("did you mean `http://{text}`?"));
    }
    kind.fits(&spec)?;
    Ok(spec)
}

fn name(text: &str, kind: Kind) -> Result<Finder, String> {
    let spec = endpoint(text, kind)?;
    match spec.key.address {
        Address::Net(target) => match target.host {
            Host::Name(name) => Ok(Finder::Name { name, port: target.port, scheme: spec.key.scheme }),
            Host::Ip(_) => Err("an address need not be looked up: leave `dns:` out".to_owned()),
        },
        Address::Unix(_) => Err("a Unix socket is not looked up".to_owned()),
    }
}

fn service(text: &str, kind: Kind) -> Result<Finder, String> {
    let (scheme, name) = match (text.split_once("://"), kind) {
        (Some(("http", name)), Kind::Site) => (Scheme::Http, name),
        (Some(("https", name)), Kind::Site) => (Scheme::Https, name),
        (Some(("h2c", name)), Kind::Site) => (Scheme::H2c, name),
        (None, Kind::Tcp | Kind::Udp) => (kind.default_scheme(), text),
        (_, Kind::Site) => return Err("write srv:http://_http._tcp.NAME".to_owned()),
        (_, Kind::Tcp | Kind::Udp) => return Err("write srv:_SERVICE._tcp.NAME".to_owned()),
    };
    let name = DomainName::parse(name).map_err(|error| error.to_string())?;
    Ok(Finder::Service { name, scheme })
}

/// Reads `balance`, `sticky` and `slow_start`.
pub(super) fn balance(
    word: &At<String>,
    sticky: Option<&At<String>>,
    slow_start: &At<String>,
    kind: Kind,
    check: &mut Check<'_>,
) -> Balance {
    let (algorithm, hash) = algorithm(word, kind, check);
    if let Some(at) = sticky.filter(|at| !is_token(at.get())) {
        let problem = Problem::new(Code::Name, at.place(), "`sticky` cannot be the name of a cookie");
        check.add(problem.label("letters, digits, `-` and `_`"));
    }
    let hour = Duration::from_hours(1);
    Balance {
        algorithm,
        hash,
        sticky: sticky.map(|at| at.get().clone()),
        slow_start: check.time("slow_start", slow_start, Duration::ZERO..=hour),
    }
}

fn algorithm(at: &At<String>, kind: Kind, check: &mut Check<'_>) -> (Algorithm, Option<HashBy>) {
    let hash = |by| (Algorithm::ConsistentHash, Some(by));
    let site = kind == Kind::Site;
    let mut words = at.get().splitn(3, ':');
    match (words.next().unwrap_or_default(), words.next(), words.next()) {
        ("p2c", None, None) => (Algorithm::P2cEwma, None),
        ("round-robin", None, None) => (Algorithm::RoundRobin, None),
        ("weighted", None, None) => (Algorithm::Weighted, None),
        ("least-conn", None, None) => (Algorithm::LeastConnections, None),
        ("hash", Some("client"), None) => hash(HashBy::Client),
        ("hash", Some("uri"), None) if site => hash(HashBy::Uri),
        ("hash", Some("header"), Some(name)) if site && is_token(name) => {
            hash(HashBy::Header(name.to_owned()))
        }
        ("hash", Some("cookie"), Some(name)) if site && is_token(name) => {
            hash(HashBy::Cookie(name.to_owned()))
        }
        _ => {
            let known: &[&str] = match kind {
                Kind::Site => &[
                    "p2c",
                    "round-robin",
                    "weighted",
                    "least-conn",
                    "hash:client",
                    "hash:uri",
                    "hash:header:NAME",
                    "hash:cookie:NAME",
                ],
                Kind::Tcp | Kind::Udp => &["p2c", "round-robin", "weighted", "least-conn", "hash:client"],
            };
            check.add(unknown_word("balance", at, known, &[]));
            (Algorithm::default(), None)
        }
    }
}

/// A token of RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

/// Reads `health`.
pub(super) fn health(section: &HealthSection, kind: Kind, check: &mut Check<'_>) -> Option<settings::Check> {
    let short = Duration::from_millis(10)..=Duration::from_mins(10);
    let every = check.time("every", &section.every, Duration::from_millis(100)..=Duration::from_hours(1));
    let timeout = check.time("timeout", &section.timeout, short);
    let count = |at: &At<i64>| u32::try_from(*at.get()).unwrap_or(1);
    let health = HealthConfig {
        every,
        fast: HealthConfig::default().fast.min(every),
        timeout,
        rise: count(&section.rise),
        fall: count(&section.fall),
        ..HealthConfig::default()
    };
    let port = section.port.as_ref().and_then(|at| u16::try_from(*at.get()).ok());
    if kind == Kind::Udp && port.is_none() && !check.is_lost("port") {
        let problem =
            Problem::new(Code::Missing, section.every.place(), "`health` of datagrams has no `port`");
        check.add(problem.fix("write port = 8080, where a TCP listener of the upstream tells"));
    }
    let kind = match (&section.path, &section.grpc) {
        (Some(_), Some(grpc)) => {
            check.add(bad_check(grpc, "either `path` or `grpc`"));
            return None;
        }
        (Some(path), None) => ProbeKind::Http(http_probe(path, section, check)?),
        (None, Some(grpc)) => {
            only_with_path(section, check);
            let Some(probe) = GrpcProbe::new(grpc.get()) else {
                check.add(bad_check(grpc, "the name of a service has at most 127 octets"));
                return None;
            };
            ProbeKind::Grpc(probe)
        }
        (None, None) => {
            only_with_path(section, check);
            ProbeKind::Tcp
        }
    };
    Some(settings::Check { probe: Probe { kind, port }, health })
}

fn only_with_path(section: &HealthSection, check: &mut Check<'_>) {
    if check.is_lost("path") {
        return;
    }
    let status = section.status.items().first();
    for (key, at) in [("host", section.host.as_ref()), ("body", section.body.as_ref()), ("status", status)] {
        if let Some(at) = at.filter(|at| at.is_written()) {
            check.no_effect(at.place(), key, "without `path` nothing is asked for");
        }
    }
}

fn bad_check(at: &At<String>, why: &str) -> Problem {
    Problem::new(Code::HealthCheck, at.place(), format!("`{}` cannot be checked so", at.get())).label(why)
}

fn http_probe(path: &At<String>, section: &HealthSection, check: &mut Check<'_>) -> Option<HttpProbe> {
    let bad = |at: &At<String>, why: String| bad_check(at, &why);
    let mut probe = match HttpProbe::new(path.get()) {
        Ok(probe) => probe,
        Err(error) => {
            check.add(bad(path, error.to_string()));
            return None;
        }
    };
    if let Some(host) = &section.host {
        probe = match probe.with_host(host.get()) {
            Ok(probe) => probe,
            Err(error) => {
                check.add(bad(host, error.to_string()));
                return None;
            }
        };
    }
    let mut statuses = StatusSet::none();
    for at in section.status.items() {
        match status_range(at.get()) {
            Some(range) => statuses = range.fold(statuses, StatusSet::with),
            None => check.add(bad(at, "statuses are numbers from 100 to 599, such as 200 or 200-299".into())),
        }
    }
    probe = probe.with_expected(statuses);
    Some(match &section.body {
        Some(body) => probe.with_body(body.get().clone()),
        None => probe,
    })
}

/// One status, or a range of them.
pub(super) fn status_range(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..600).contains(status));
    let range = match text.split_once('-') {
        Some((from, to)) => status(from)?..=status(to)?,
        None => status(text)?..=status(text)?,
    };
    (!range.is_empty()).then_some(range)
}

/// Reads `trusted`; `used` says whether anybody looks at it.
pub(super) fn trusted(list: Option<&Many>, used: bool, check: &mut Check<'_>) -> Option<Vec<Cidr>> {
    let items = list?.items();
    if let (false, Some(first)) = (used, items.first()) {
        check.no_effect(first.place(), "trusted", "without `proxy_protocol` nobody says who the client is");
    }
    Some(items.iter().filter_map(|at| network(at, check)).collect())
}

/// Reads `upstream`; `content` gains what its files hold.
pub(super) fn tls(
    section: Option<&UpstreamTlsSection>,
    has_https: bool,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> UpstreamTls {
    let Some(section) = section else { return UpstreamTls::default() };
    let UpstreamTlsSection { ca, sni, client_cert, client_key, protocol } = section;
    let first = [ca, sni, client_cert, client_key].into_iter().flatten().next().map(At::place);
    let first = first.or_else(|| protocol.is_written().then(|| protocol.place()));
    if let (false, Some(place)) = (has_https, first) {
        check.no_effect(place, "upstream", "no upstream of this site is https");
    }
    for (key, other, name) in
        [(client_cert, client_key, "client_cert"), (client_key, client_cert, "client_key")]
    {
        if let (None, Some(other), false) = (key, other, check.is_lost(name)) {
            check.add(Problem::new(Code::Missing, other.place(), format!("`upstream` has no `{name}`")));
        }
    }
    let kinds = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let pem = ["CERTIFICATE"];
    let ca = ca.as_ref().and_then(|at| check.read_pem(at, "the authority of upstreams", &pem));
    let cert = client_cert.as_ref().and_then(|at| check.read_pem(at, "the certificate for upstreams", &pem));
    let key = client_key.as_ref().and_then(|at| check.read_pem(at, "the key for upstreams", &kinds));
    if let (Some(at), Some(file)) = (client_key, &key) {
        check.key_is_private(at, &file.path);
    }
    content.extend([&ca, &cert, &key].into_iter().flatten().map(|file| file.text.clone()));
    let sni = sni.as_ref().and_then(|at| host(at, check));
    let protocol = match protocol.get() {
        UpstreamProtocol::Http1 => Protocol::H1,
        UpstreamProtocol::H2 => Protocol::H2,
        UpstreamProtocol::Auto => Protocol::Either,
    };
    let identity = cert.zip(key).map(|(c, k)| (c.path, k.path));
    UpstreamTls { ca: ca.map(|file| file.path), sni, identity, protocol }
}

fn host(at: &At<String>, check: &mut Check<'_>) -> Option<Host> {
    Host::parse(at.get())
        .map_err(|error| {
            let problem = Problem::new(Code::SiteName, at.place(), format!("`{}` is not a name", at.get()));
            check.add(problem.label(error.to_string()));
        })
        .ok()
}

impl Check<'_> {
    /// Notes a key that changes nothing.
    pub(super) fn no_effect(&mut self, place: Place, key: &str, why: &str) {
        self.add(Problem::new(Code::NoEffect, place, format!("`{key}` has no effect")).label(why));
    }

    /// A time that may be left out.
    pub(super) fn time_if(
        &mut self,
        key: &str,
        at: Option<&At<String>>,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        at.map(|at| self.time(key, at, bounds))
    }

    /// A time that may be left out or `off`.
    pub(super) fn limit_if(
        &mut self,
        key: &str,
        at: Option<&At<String>>,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Limit> {
        let at = at?;
        if at.get() == "off" {
            return Some(Limit::Off);
        }
        match parse_time(at.get()) {
            Some(time) if bounds.contains(&time) => Some(Limit::After(time)),
            Some(_) | None => Some(Limit::After(self.time(key, at, bounds))),
        }
    }
}
