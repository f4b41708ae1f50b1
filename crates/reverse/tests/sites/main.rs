//! Sites as clients and endpoints see them: over loopback sockets, with a shard of their own on a thread.

#![allow(clippy::disallowed_methods, reason = "tests start their own threads")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test every failure is a panic")]

mod claims;
mod faults;
mod files;
mod flapping;
mod hedging;
mod reload;
mod requests;
mod smuggling;
mod spreading;
mod transports;

use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::listener::{ListenerId, bind};
use shoalway_net::resolver::{Resolver, ResolverConfig};
use shoalway_net::shard::Shard;
use shoalway_reverse::http_gateway::Gateway;
use shoalway_reverse::routes::{HostPattern, PathPattern, Route, Then, ToUpstream};
use shoalway_reverse::site_plan::{Backend, Site, SitePlan, SiteSettings};
use shoalway_reverse::upstream::{EndpointSpec, Registry, Scheme, Upstream, UpstreamConfig};
use shoalway_testkit::{Origin, RawClient, Response};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tokio::time::Instant;

type Job = Box<dyn FnOnce(&Rc<Shard>, &Tools) + Send>;

/// What plans are made with.
struct Tools {
    dialer: Dialer,
    registry: Registry,
}

impl Tools {
    fn new() -> Self {
        let guard = Arc::new(EgressGuard::new(Reach::Default, vec![], vec![]));
        let runtime = tokio::runtime::Handle::current();
        let resolver = Resolver::new(ResolverConfig::default(), runtime).unwrap();
        Self {
            dialer: Dialer::new(resolver, guard, DialConfig::default()),
            registry: Registry::new(Instant::now()),
        }
    }

    /// A backend of these endpoints, to be changed by `edit`.
    fn backend_with(
        &self,
        endpoints: &[String],
        upstream: impl FnOnce(&mut UpstreamConfig),
        backend: impl FnOnce(&mut Backend),
    ) -> Arc<Backend> {
        let specs = endpoints.iter().map(|text| EndpointSpec::parse(text, Scheme::Http).unwrap()).collect();
        let mut config = UpstreamConfig::new("app", specs);
        upstream(&mut config);
        let now = self.registry.epoch().moment(Instant::now());
        let upstream = Arc::new(Upstream::new(&self.registry, config, now));
        let mut made = Backend::new(upstream, self.dialer.clone());
        backend(&mut made);
        Arc::new(made)
    }

    fn backend(&self, endpoints: &[String]) -> Arc<Backend> {
        self.backend_with(endpoints, |_| {}, |_| {})
    }
}

/// A route to a backend.
fn to(path: &str, backend: &Arc<Backend>) -> Route {
    route(path, Then::Upstream(Arc::new(ToUpstream::new(Arc::clone(backend)))))
}

fn route(path: &str, then: Then) -> Route {
    Route::new(PathPattern::parse(path).unwrap(), then)
}

/// A listener with one site for every host.
fn site(routes: Vec<Route>) -> SiteSettings {
    sites(vec![("*", routes)])
}

fn sites(all: Vec<(&str, Vec<Route>)>) -> SiteSettings {
    let site = |(host, routes): (&str, Vec<Route>)| Site {
        name: host.into(),
        hosts: vec![HostPattern::parse(host).unwrap()],
        routes,
        claim: None,
    };
    SiteSettings::new("test", all.into_iter().map(site).collect())
}

/// A listener that runs until it is dropped.
struct Served {
    addr: SocketAddr,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start(settings: impl FnOnce(&Tools) -> SiteSettings + Send + 'static) -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Job>(16);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            Shard::test_in_real_time(async move |shard| {
                let tools = Tools::new();
                let plan = Arc::new(SitePlan::new(settings(&tools)).unwrap());
                let socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
                tell.send(socket.local_addr().unwrap()).unwrap();
                shard.listen(LISTENER, socket, Arc::default(), plan.on(&shard)).unwrap();
                while let Some(job) = waiting.recv().await {
                    job(&shard, &tools);
                }
            });
        });
        Self { addr: told.recv().unwrap(), jobs: Some(jobs), thread: Some(thread) }
    }

    /// One site that sends everything to these endpoints.
    fn before(endpoints: &[&Origin]) -> Self {
        let endpoints: Vec<String> = endpoints.iter().map(|origin| url(origin.addr())).collect();
        Self::start(move |tools| site(vec![to("*", &tools.backend(&endpoints))]))
    }

    /// Does something on the shard, and waits until it is done.
    fn on_shard<T: Send + 'static>(&self, job: impl FnOnce(&Rc<Shard>, &Tools) -> T + Send + 'static) -> T {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let job: Job = Box::new(move |shard, tools| tell.send(job(shard, tools)).unwrap());
        self.jobs.as_ref().unwrap().blocking_send(job).ok().unwrap();
        told.recv().unwrap()
    }

    fn connect(&self) -> RawClient {
        RawClient::connect(self.addr)
    }

    /// Asks on a connection of its own.
    fn ask(&self, request: &str) -> Response {
        let method = request.split(' ').next().unwrap();
        self.connect().send(request).read_response_to(method)
    }

    fn get(&self, target: &str) -> Response {
        self.ask(&get(target))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

const LISTENER: ListenerId = ListenerId(1);

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

fn url(addr: SocketAddr) -> String {
    format!("http://{addr}")
}

#[test]
fn one_line_is_enough_for_a_site() {
    let origin = Origin::start(shoalway_testkit::Reply::ok("hello"));
    let to = url(origin.addr());
    let served = Served::start(move |tools| {
        let plan = SitePlan::one("test", &to, tools.dialer.clone(), None, &tools.registry).unwrap();
        SiteSettings::new("test", plan.settings().sites.clone())
    });
    assert_eq!(served.get("/x").text(), "hello");
    assert_eq!(origin.only_request().target(), "/x");
    served.on_shard(|shard, _tools| Gateway::forget(shard, "test"));
}
