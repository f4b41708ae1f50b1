//! `shoalway lab`: a whole network of the overlay in one process, on loopback alone and in memory alone.
//!
//! ```text
//! client -> proxy -> overlay -> entry -> exit -> demo page
//!                                 (each with its own keys, certificate and address)
//! ```
//! Everything is drawn by chance at the start: no file is read or written, nothing outlives the process. It is marked as a
//! lab in the network file, which is what permits nodes on one machine. What is where:
//!
//! - [`places`]: addresses and names; [`sockets`]: ports, and putting all onto the shards;
//! - [`ground`]: what nodes share; [`node`]: a node; [`client`]: the client's part and the proxy;
//! - [`origin`], [`page`]: the demo; [`visitor`]: loads it without a browser;
//! - [`watch`], [`tally`]: what people and programs are told.
//!
//! Not here: nodes of a network of others (configuration), what the parts do (`overlay`, `forward`, `reverse`).

pub mod client;
pub mod ground;
pub mod node;
pub mod origin;
pub mod page;
pub mod places;
pub mod sockets;
pub mod tally;
pub mod visitor;
pub mod watch;

use crate::cli::{Exit, Output};
use crate::config::Surroundings;
use crate::config::file::MessageLevel;
use crate::config::settings::Memory;
use crate::run::events::Events;
use crate::run::failure::StartError;
use crate::run::messages::Messages;
use crate::run::{resources, shards};
use ground::Ground;
use node::LabNode;
use places::Part;
use shoalway_net::blocking::Blocking;
use shoalway_net::fleet::{Fleet, FleetConfig};
use shoalway_net::limits::Limits;
use shoalway_overlay::client::Overlay;
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::DomainName;
use shoalway_types::wallet::Address;
use sockets::{Behind, Places, Wanted};
use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};
use watch::Watch;

/// How often it is looked what happened.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether the client has its directory, and how long at most.
const SOON: Duration = Duration::from_millis(5);
const READY: Duration = Duration::from_secs(15);
/// A share of memory for buffers, in percent.
const MEMORY: u8 = 25;

/// What the lab is like.
pub struct LabOptions {
    /// How flows are spread over exits.
    pub spread: Spread,
    /// Exits in use at once, 1 to [`places::EXITS`].
    pub exits: u8,
    /// Hops of a path: 2 or 3.
    pub hops: u8,
    /// Where the proxy listens.
    pub listen: Wanted,
    /// Names that exits know besides those of the demo.
    pub names: Vec<(DomainName, IpAddr)>,
    /// Loads the page itself, tells, and ends.
    pub once: bool,
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system does not let it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A part could not be made.
    #[error("the lab's {what} could not be made: {why}")]
    Made {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The client found no way in.
    #[error("the lab's client got no directory: {0}")]
    NotReady(String),
}

/// A part that was made, or why not.
///
/// # Errors
/// [`LabError::Made`]
fn made<T, E: Display>(what: &'static str, part: Result<T, E>) -> Result<T, LabError> {
    part.map_err(|error| LabError::Made { what, why: error.to_string() })
}

/// Runs a lab to its end.
///
/// # Errors
/// When standard output fails.
pub fn run(options: LabOptions, surroundings: &Surroundings, output: Output) -> io::Result<Exit> {
    let ran = serve(options, surroundings, output);
    match ran {
        Ok(exit) => Ok(exit),
        Err(LabError::Start(error)) => {
            Events::new(output.is_json()).failed(error.code(), &error.to_string(), &error.hint());
            Ok(error.exit())
        }
        Err(error) => {
            output.failure(&error.to_string(), "")?;
            Ok(Exit::Failed)
        }
    }
}

fn serve(options: LabOptions, surroundings: &Surroundings, output: Output) -> Result<Exit, LabError> {
    let messages = Messages::start(MessageLevel::Warn, output.is_json(), surroundings);
    let _messages = made("messages", messages)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| StartError::System { what: "runtime", source })?;
    let exit = runtime.block_on(async {
        let mut signals = Signals::new().map_err(|source| StartError::System { what: "signals", source })?;
        let lab = Box::pin(Lab::open(options)).await?;
        let mut watch = Watch::new(&lab, output.is_json(), lab.options.once);
        watch.greet(&lab);
        let exit = if lab.options.once {
            Box::pin(lab.load(&mut watch)).await
        } else {
            lab.watch(&mut watch, &mut signals).await;
            watch.sum_up();
            Exit::Ok
        };
        lab.end(&mut signals).await;
        Ok::<Exit, LabError>(exit)
    })?;
    Events::new(output.is_json()).stopped();
    Ok(exit)
}

/// A lab that runs.
pub struct Lab {
    /// What it is like.
    pub options: LabOptions,
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    /// Where the demo page is.
    pub origin: SocketAddr,
    /// Where the nodes are.
    pub nodes: Vec<(Part, SocketAddr)>,
    /// Who is behind a wallet's address.
    pub parts: HashMap<Address, Part>,
    /// The client's part.
    pub overlay: Overlay,
    fleet: Arc<Fleet>,
    threads: Vec<JoinHandle<()>>,
}

impl Lab {
    /// Opens everything, and waits until the client has its directory.
    ///
    /// # Errors
    /// [`LabError`]; nothing stays open.
    async fn open(options: LabOptions) -> Result<Self, LabError> {
        let limits = Limits { connections: resources::raise_open_files(), ..Limits::default() };
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        let parts: Vec<Part> = Part::all(options.hops).collect();
        let places = Places::open(options.listen, &parts, shards)?;
        let (proxy, origin) = (places.proxy.address, places.origin.address);
        let at: Vec<(Part, SocketAddr)> =
            places.nodes.iter().map(|(part, place)| (*part, place.address)).collect();

        let ground = Ground::new(&names(&options)?, proxy)?;
        let nodes = at.iter().map(|(part, at)| LabNode::new(&ground, *part, *at));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        ground.publish(&nodes)?;
        let overlay = client::overlay(&ground, &nodes, &options);
        let plan = client::proxy(&ground, &overlay, limits)?;

        let sites = places.nodes.into_iter().zip(&nodes);
        let mut all: Vec<_> =
            sites.map(|((_, place), node)| (place, Behind::Site(Arc::clone(&node.site)))).collect();
        all.push((places.origin, Behind::Origin(origin.port())));
        all.push((places.proxy, Behind::Proxy(Arc::new(plan))));
        let (fleet, threads) = start(shards, limits)?;
        let parts = nodes.iter().map(|node| (node.address, node.part)).collect();
        let lab = Self { options, proxy, origin, nodes: at, parts, overlay, fleet, threads };
        let put = sockets::put(&lab.fleet, all, limits, lab.overlay.shared()).await;
        put.map_err(|source| StartError::System { what: "listener", source })?;
        lab.ready().await?;
        Ok(lab)
    }

    async fn ready(&self) -> Result<(), LabError> {
        let limit = Instant::now() + READY;
        loop {
            let status = self.overlay.shared().board.read();
            if status.directory > 0 {
                return Ok(());
            }
            if Instant::now() >= limit {
                let why = status.trouble.unwrap_or_else(|| "nobody answered".to_owned());
                return Err(LabError::NotReady(why));
            }
            sleep(SOON).await;
        }
    }

    /// The demo page.
    #[must_use]
    pub fn page(&self) -> String {
        format!("http://{}:{}/", places::PAGE, self.origin.port())
    }

    /// Loads the page through the proxy.
    async fn load(&self, watch: &mut Watch) -> Exit {
        let loaded = visitor::visit(self.proxy, &self.page()).await;
        watch.look(self);
        if watch.visited(&loaded) { Exit::Ok } else { Exit::Failed }
    }

    /// Tells what happens until told to end.
    async fn watch(&self, watch: &mut Watch, signals: &mut Signals) {
        loop {
            watch.look(self);
            tokio::select! {
                () = sleep(LOOK) => {}
                () = signals.any() => return watch.look(self),
            }
        }
    }

    /// Ends all threads and with them all sockets; told again, at once.
    async fn end(self, signals: &mut Signals) {
        shards::stop(&self.fleet);
        tokio::select! {
            () = shards::ended(self.threads, "shard") => {}
            () = signals.any() => {}
        }
    }
}

/// All names that exits know, each once: what somebody said counts more than the demo's.
fn names(options: &LabOptions) -> Result<Vec<(DomainName, IpAddr)>, LabError> {
    let mut all = options.names.clone();
    for name in places::names() {
        let name = made("name", DomainName::parse(&name))?;
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, places::ORIGIN));
        }
    }
    Ok(all)
}

fn start(shards: usize, limits: Limits) -> Result<(Arc<Fleet>, Vec<JoinHandle<()>>), StartError> {
    let none = |source| StartError::System { what: "thread", source };
    let memory = resources::memory(Memory::Share(MEMORY));
    let blocking = Blocking::start(1).map_err(none)?;
    Fleet::start(&FleetConfig { shards, memory, limits, writer: None, blocking }).map_err(none)
}

/// What ends a lab.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
