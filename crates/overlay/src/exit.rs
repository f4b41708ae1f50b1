//! The exit: the far end of circuits, which resolves names and connects to destinations with its own address.
//!
//! Its policy is asked for the port and, after resolving, for every address; the checked address is the one that is
//! dialled. Nothing about a stream is written anywhere: counters in memory are all. Not here: the circuit's machine
//! (`circuit`), who may ask for circuits (`node`).

use crate::chance;
use crate::circuit::{Port, PortOwner};
use crate::link::LinkHandle;
use crate::node::Node;
use crate::time;
use rand_core::Rng as _;
use shoalway_net::connect::{ConnectError, ConnectErrorKind};
use shoalway_net::dialer::{Dial, DialError, Dialed, Dialer};
use shoalway_net::relay::{End as RelayEnd, relay};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::{CircuitTerms, Destination, End, ResetCode, StreamId};
use shoalway_overlay_proto::create::{CreatedTerms, ExitCircuit, ExitRequest};
use shoalway_overlay_proto::descriptor::PolicyRule;
use shoalway_overlay_proto::layer::ClientLayers;
use shoalway_overlay_proto::link::dir::{DirGet, DirKind};
use shoalway_overlay_proto::link::terms::{CircId, Code};
use shoalway_overlay_proto::record::Suite;
use shoalway_types::{DomainName, Host, Target};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Connecting, resolving included.
const CONNECT: Duration = Duration::from_secs(15);
/// Names that a circuit remembers, and for how long.
const MOST_NAMES: usize = 64;
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// A stream without bytes.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// A circuit takes streams for 30 to 60 minutes.
const LEAST_LIFE: u64 = 30 * 60;
const MORE_LIFE: u64 = 30 * 60;

/// What all shards of an exit share.
pub struct ExitPlan {
    /// Resolves and connects. Its guard refuses what nobody on the Internet should reach here; its resolver remembers
    /// nothing, so that no circuit learns from the time of an answer what another asked.
    pub dialer: Dialer,
    /// The address of this machine that connections leave from; none: as the system chooses.
    pub leave_from: Option<IpAddr>,
    /// Which ports.
    pub policy: Vec<PolicyRule>,
    /// Addresses of this machine, which nobody reaches through it.
    pub own: Vec<IpAddr>,
    /// It takes no new streams: it is drained, or has carried all it may this month.
    pub closed: AtomicBool,
    /// What it did.
    pub counters: ExitCounters,
}

/// What an exit counts, since the start and in memory alone.
#[derive(Default)]
pub struct ExitCounters {
    /// Circuits that were answered.
    pub circuits: AtomicU64,
    /// Streams that were connected.
    pub streams: AtomicU64,
    /// Streams that were refused or failed.
    pub refused: AtomicU64,
    /// Bytes to destinations.
    pub bytes_up: AtomicU64,
    /// Bytes from destinations.
    pub bytes_down: AtomicU64,
}

impl ExitPlan {
    /// Answers a circuit that ends here.
    ///
    /// # Errors
    /// The code that it ends with.
    pub(crate) fn answer(
        self: &Arc<Self>,
        shard: &Rc<Shard>,
        node: &Rc<Node>,
        link: &Rc<LinkHandle>,
        circ: CircId,
        request: ExitRequest,
    ) -> Result<(), Code> {
        let suite = if request.suites.contains(Suite::Aes256Gcm) {
            Suite::Aes256Gcm
        } else {
            Suite::ChaCha20Poly1305
        };
        let life = Duration::from_secs(LEAST_LIFE + chance::rng().next_u64() % MORE_LIFE);
        let directory = node.plan().book.directory().map(|directory| directory.number_and_hash());
        let circuit = CircuitTerms { life, ..CircuitTerms::default() };
        let terms = CreatedTerms { suite, circuit, directory: directory.unwrap_or_default() };
        let (body, keys) = request.answer(&terms, &mut chance::rng()).map_err(|_bad| Code::Protocol)?;
        let ExitCircuit { tx, rx } = keys;
        let now = time::moment();
        let end = CircuitEnd::new(End::Exit, circuit, &tx, &rx, now);
        link.created(circ, body.into()).map_err(|_gone| Code::Protocol)?;
        self.counters.circuits.fetch_add(1, Relaxed);
        let side = ExitSide {
            plan: Arc::clone(self),
            node: Rc::clone(node),
            shard: Rc::clone(shard),
            names: Rc::default(),
        };
        Port::new(shard, link, circ, end, ClientLayers::default(), Rc::new(side));
        Ok(())
    }

    /// Whether the policy lets anybody connect to a port.
    fn permits(&self, port: u16) -> bool {
        PolicyRule::allows(&self.policy, port)
    }
}

/// The owner of a circuit that ends here.
struct ExitSide {
    plan: Arc<ExitPlan>,
    node: Rc<Node>,
    shard: Rc<Shard>,
    names: Rc<Names>,
}

impl PortOwner for ExitSide {
    fn open(&self, port: &Rc<Port>, stream: StreamId, dest: Destination) {
        let target = match dest {
            Destination::Target(target) => target,
            // The machine answers these itself.
            Destination::Directory => return port.refuse(stream, ResetCode::NotSupported),
        };
        if self.plan.closed.load(Relaxed) {
            self.plan.counters.refused.fetch_add(1, Relaxed);
            return port.refuse(stream, ResetCode::Limit);
        }
        if !self.plan.permits(target.port) {
            self.plan.counters.refused.fetch_add(1, Relaxed);
            return port.refuse(stream, ResetCode::Policy);
        }
        let (plan, shard, port) = (Arc::clone(&self.plan), Rc::clone(&self.shard), Rc::clone(port));
        let names = Rc::clone(&self.names);
        let tasks = self.shard.tasks().clone();
        tasks.spawn(async move { plan.serve(&shard, &port, stream, &target, &names).await });
    }

    fn dir_get(&self, port: &Rc<Port>, stream: StreamId, get: DirGet) {
        let body = match get.kind {
            DirKind::Own => self.node.plan().keys.load().own_entry(),
            DirKind::Networks | DirKind::Headers | DirKind::Snapshot | DirKind::Newest => {
                self.node.plan().book.answer(get.kind, get.number)
            }
        };
        port.dir_answer(stream, body);
    }

    fn draining(&self, _port: &Rc<Port>) {}

    fn closed(&self, _port: &Rc<Port>, _code: Code) {}
}

impl ExitPlan {
    /// Connects a stream and carries its bytes to the end.
    async fn serve(
        &self,
        shard: &Rc<Shard>,
        port: &Rc<Port>,
        stream: StreamId,
        target: &Target,
        names: &Names,
    ) {
        let dialled = tokio::select! {
            dialled = self.connect(target, names) => dialled,
            () = port.abandoned(stream) => return port.forget(stream),
        };
        let dialled = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                self.counters.refused.fetch_add(1, Relaxed);
                return port.refuse(stream, reset_code(&error.into()));
            }
        };
        self.counters.streams.fetch_add(1, Relaxed);
        let ours = port.accept(stream);
        let farewell = ours.farewell();
        let deadline = shard.deadline();
        let mut work =
            Box::pin(relay(shard, Stream::other(ours), Stream::tcp(dialled.stream), &deadline, IDLE));
        let outcome = work.as_mut().await;
        if outcome.end == RelayEnd::SecondBroke {
            farewell.set(ResetCode::DestinationReset);
        }
        drop(work);
        self.counters.bytes_up.fetch_add(outcome.up, Relaxed);
        self.counters.bytes_down.fetch_add(outcome.down, Relaxed);
    }

    /// Connects to where the circuit's name led a moment ago, or to where it leads.
    async fn connect(&self, target: &Target, names: &Names) -> Result<Dialed, DialError> {
        let deadline = Instant::now() + CONNECT;
        let Host::Name(name) = &target.host else { return self.dial(target, deadline).await };
        if let Some(ip) = names.known(name) {
            let known = Target::new(Host::from(ip), target.port);
            if let Ok(dialled) = self.dial(&known, Instant::now() + CONNECT / 3).await {
                return Ok(dialled);
            }
            names.forget(name);
        }
        let dialled = self.dial(target, deadline).await?;
        names.learn(name, dialled.addr.ip());
        Ok(dialled)
    }

    async fn dial(&self, target: &Target, deadline: Instant) -> Result<Dialed, DialError> {
        let allow = |addr: SocketAddr| match self.own.contains(&addr.ip().to_canonical()) {
            true => Err("the exit itself".to_owned()),
            false => Ok(()),
        };
        let dial = Dial {
            // Nobody of this machine: the guard lets those reach more.
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            target,
            allow: &allow,
            deadline,
            bind: self.leave_from,
        };
        self.dialer.dial(dial).await
    }
}

/// Where names of one circuit led a moment ago: no circuit learns from the time of an answer what another one asked.
#[derive(Default)]
struct Names(RefCell<HashMap<DomainName, (IpAddr, Instant)>>);

impl Names {
    fn known(&self, name: &DomainName) -> Option<IpAddr> {
        self.0.borrow().get(name).filter(|(_, until)| Instant::now() < *until).map(|(ip, _)| *ip)
    }

    fn forget(&self, name: &DomainName) {
        self.0.borrow_mut().remove(name);
    }

    fn learn(&self, name: &DomainName, ip: IpAddr) {
        let mut names = self.0.borrow_mut();
        if names.len() >= MOST_NAMES {
            names.retain(|_, (_, until)| Instant::now() < *until);
        }
        if names.len() < MOST_NAMES {
            names.insert(name.clone(), (ip, Instant::now() + KNOWN_FOR));
        }
    }
}

/// What a client is told of a failure (section 7.3).
fn reset_code(error: &ConnectError) -> ResetCode {
    match error.kind {
        ConnectErrorKind::NameNotFound => ResetCode::NameNotFound,
        ConnectErrorKind::Dns => ResetCode::DnsFailed,
        ConnectErrorKind::Timeout if error.word == "dns_timeout" => ResetCode::DnsFailed,
        ConnectErrorKind::Timeout => ResetCode::TimedOut,
        ConnectErrorKind::Refused | ConnectErrorKind::Reset => ResetCode::Refused,
        ConnectErrorKind::Unreachable => ResetCode::Unreachable,
        ConnectErrorKind::Forbidden => ResetCode::Policy,
        ConnectErrorKind::Local => ResetCode::Limit,
        ConnectErrorKind::Tls | ConnectErrorKind::ProxyAuth | ConnectErrorKind::Proxy => {
            ResetCode::NotSupported
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> DomainName {
        DomainName::parse(&format!("h{n}.example")).unwrap()
    }

    #[test]
    fn a_circuit_remembers_a_name_for_a_minute_and_64_of_them() {
        Shard::test(async |shard| {
            let (names, ip) = (Names::default(), IpAddr::from([192, 0, 2, 1]));
            (0..100).for_each(|n| names.learn(&name(n), ip));
            let known = || (0..200).filter(|n| names.known(&name(*n)).is_some()).count();
            assert_eq!(known(), MOST_NAMES);
            names.forget(&name(3));
            assert_eq!((names.known(&name(3)), known()), (None, MOST_NAMES - 1));
            shard.pass(KNOWN_FOR).await;
            assert_eq!(known(), 0);
            names.learn(&name(150), ip);
            assert_eq!((names.known(&name(150)), names.0.borrow().len()), (Some(ip), MOST_NAMES));
            names.learn(&name(151), ip);
            assert_eq!(names.0.borrow().len(), 2, "what is too old made room");
        });
    }
}
