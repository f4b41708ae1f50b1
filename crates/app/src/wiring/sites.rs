//! Plans of the sites: one for each address, with all sites that listen on it.
//!
//! What is a matter of the listener is taken from all of its sites together: they agree on TLS and the PROXY protocol, and
//! of their times for connecting and idle clients the longest holds. Not here: certificates (`certificates`), upstreams
//! (`upstreams`), what a plan does (`reverse`).

use super::certificates::SiteCertificates;
use super::rates::RateKeeper;
use super::streams::{Ground, believed, proxy_out};
use super::upstreams::Maker;
use super::{Plan, WiringError, http_limits, limits};
use crate::config::settings::{
    Fallback, HashBy, RouteAction, RouteSettings, SiteSettings, SiteTimes, UpstreamSettings,
};
use crate::node::NodePart;
use crate::run::listeners::Listening;
use shoalway_net::limits::Limits;
use shoalway_policy::CidrSet;
use shoalway_reverse::files::FilesRoot;
use shoalway_reverse::routes::{
    FieldName, FixedAnswer, HostPolicy, PathPattern, Rewrite, Route, Then, ToUpstream,
};
use shoalway_reverse::site_plan::{self, Backend, Key, Protocol, Site, SitePlan, StickyCookie};
use shoalway_reverse::tcp_gateway::gate::GateMode;
use shoalway_reverse::trusted::Trusted;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The plan of a listener of sites.
///
/// # Errors
/// [`WiringError`] when a part cannot be made.
pub(super) fn plan(
    listening: &Listening,
    from: &Ground<'_>,
    maker: &mut Maker<'_>,
    certificates: &mut SiteCertificates,
    rates: &mut RateKeeper,
) -> Result<Plan, WiringError> {
    let here = |site: &&SiteSettings| site.listen.contains(&listening.binding.addr);
    let sites: Vec<&SiteSettings> = from.settings.sites.iter().filter(here).collect();
    let listener = &listening.counted.name;
    let node = from.node.as_deref();
    let made = sites.iter().map(|site| of_site(site, node, maker, rates)).collect::<Result<Vec<_>, _>>()?;
    let mut settings = site_plan::SiteSettings::new(Arc::clone(listener), made);
    settings.tls = certificates.server(listener, &sites)?;
    settings.challenges = certificates.challenges();
    let first = sites.first();
    let trusted = first.and_then(|site| site.trusted.as_deref());
    settings.proxy_protocol = first.is_some_and(|site| site.proxy_protocol).then(|| believed(trusted));
    let networks: CidrSet = trusted.unwrap_or_default().iter().copied().collect();
    settings.trusted = Trusted { networks, ..Trusted::default() };
    settings.gate = first.map_or(GateMode::Serve, |site| site.gate);
    settings.limits = of_listener(&sites, limits(&from.settings.limits, from.connections));
    settings.http = http_limits(from.settings);
    let plan = SitePlan::new(settings).map_err(WiringError::Sites)?;
    Ok(Plan::Sites(Arc::new(plan)))
}

/// The general limits, with the longest of what the sites say.
fn of_listener(sites: &[&SiteSettings], general: Limits) -> Limits {
    let longest = |of: fn(&SiteTimes) -> Option<std::time::Duration>, usual| {
        sites.iter().map(|site| of(&site.timeouts).unwrap_or(usual)).max().unwrap_or(usual)
    };
    Limits {
        connect: longest(|times| times.connect, general.connect),
        idle: longest(|times| times.idle, general.idle),
        ..general
    }
}

fn of_site(
    site: &SiteSettings,
    node: Option<&NodePart>,
    maker: &mut Maker<'_>,
    rates: &mut RateKeeper,
) -> Result<Site, WiringError> {
    let mut routes = Vec::new();
    for route in &site.routes {
        routes.push(of_route(route, site, maker)?);
    }
    if let Some(to) = &site.to {
        let then = to_upstream(to, Rewrite::None, HostPolicy::Keep, site, maker)?;
        routes.push(Route::new(PathPattern::any(), then));
    }
    // One for all routes of the site.
    let rate = rates.table(&site.name, site.rate);
    routes.iter_mut().for_each(|route| route.rate.clone_from(&rate));
    let claim = node.filter(|node| node.site == site.name).map(|node| Arc::clone(&node.door));
    Ok(Site { name: site.name.as_str().into(), hosts: vec![site.host.clone()], routes, claim })
}

fn of_route(
    settings: &RouteSettings,
    site: &SiteSettings,
    maker: &mut Maker<'_>,
) -> Result<Route, WiringError> {
    let then = match &settings.does {
        RouteAction::To { upstream, rewrite, host } => {
            to_upstream(upstream, rewrite.clone(), host.clone(), site, maker)?
        }
        RouteAction::Redirect(redirect) => Then::Redirect(redirect.clone()),
        RouteAction::Files(dir) => {
            let mut root = FilesRoot::new(dir.clone());
            if let Some(compress) = &site.compress {
                root.codings.clone_from(&compress.codings);
            }
            Then::Files(Arc::new(root))
        }
        RouteAction::Answer { status, text } => {
            let body = if text.is_empty() { String::new() } else { format!("{text}\n") };
            Then::Answer(Arc::new(FixedAnswer::new(*status, "text/plain; charset=utf-8", body)))
        }
    };
    let mut route = Route::new(settings.path.clone(), then);
    route.when = settings.when.clone();
    route.request.clone_from(&settings.request);
    route.response.clone_from(&settings.response);
    if let Some(most) = settings.max_content {
        route.max_content = most.0;
    }
    Ok(route)
}

fn to_upstream(
    settings: &UpstreamSettings,
    rewrite: Rewrite,
    host: HostPolicy,
    site: &SiteSettings,
    maker: &mut Maker<'_>,
) -> Result<Then, WiringError> {
    let mut to = ToUpstream::new(backend(settings, site.fallback.as_ref(), maker)?);
    to.rewrite = rewrite;
    to.host = host;
    to.total = site.timeouts.total;
    to.per_try = site.timeouts.first_byte;
    to.compress = site.compress.clone().filter(|compress| !compress.codings.is_empty()).map(Arc::new);
    Ok(Then::Upstream(Arc::new(to)))
}

fn backend(
    settings: &UpstreamSettings,
    fallback: Option<&Fallback>,
    maker: &mut Maker<'_>,
) -> Result<Arc<Backend>, WiringError> {
    if let Some(backend) = maker.backend(&settings.name) {
        return Ok(backend);
    }
    let mut backend = Backend::new(maker.upstream(settings)?, maker.dialer().clone());
    backend.protocol = settings.tls.protocol;
    backend.tls = maker.client(settings, backend.protocol)?;
    backend.tls_older = maker.client(settings, Protocol::H1)?;
    backend.retry = settings.bounds.retry;
    backend.proxy_out = proxy_out(settings.header);
    backend.hedge = settings.bounds.hedge.map(|(after, _)| after);
    backend.line = settings.bounds.line;
    backend.tls_name.clone_from(&settings.tls.sni);
    backend.identity = identity(settings);
    backend.key = match &settings.balance.hash {
        None => Key::Chance,
        Some(HashBy::Client) => Key::Client,
        Some(HashBy::Uri) => Key::Uri,
        // The check has seen that it is a name; one that frames messages spreads by chance.
        Some(HashBy::Header(name)) => FieldName::parse(name).map_or(Key::Chance, Key::Field),
        Some(HashBy::Cookie(name)) => Key::Cookie(name.as_str().into()),
    };
    match fallback {
        Some(Fallback::To(other)) => backend.fallback = Some(self::backend(other, None, maker)?),
        Some(Fallback::Answer { status, content_type, text }) => {
            backend.fixed =
                Some(Arc::new(FixedAnswer::new(*status, content_type, text.as_str()).compressed()));
        }
        None => {}
    }
    let sticky = settings.balance.sticky.as_deref();
    backend.sticky = sticky.map(|name| StickyCookie { name: name.into(), ..StickyCookie::default() });
    Ok(maker.keep_backend(&settings.name, backend))
}

/// Connections are shared only by what is alike in TLS.
fn identity(settings: &UpstreamSettings) -> u64 {
    let mut hasher = DefaultHasher::new();
    let tls = &settings.tls;
    (&tls.ca, &tls.sni, &tls.identity, tls.protocol).hash(&mut hasher);
    hasher.finish()
}
