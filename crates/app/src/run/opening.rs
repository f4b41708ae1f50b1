//! Opens everything the program needs, or nothing, and holds it while the program runs.
//!
//! What was opened before a failure closes with the values that hold it. Not here: binding itself (`net/listener`).

use super::board::{Board, Counted, InForce, State};
use super::events::Events;
use super::exporting::Exporting;
use super::failure::StartError;
use super::keeping::Keeping;
use super::listeners::{self, Binding, Change, Listening, Role};
use super::messages::Messages;
use super::notify::Notify;
use super::shards::{self, Load};
use super::{board, resources};
use crate::admin::socket::{ControlSocket, SocketError};
use crate::admin::{Admin, Command};
use crate::config::settings::{AccessLog, AdminSettings, LogSettings, SiteSettings};
use crate::config::show::Entry;
use crate::config::{Loaded, Request, Settings};
use crate::log::Format;
use crate::log::writer::{Destination, LogControl};
use crate::node::Tending;
use crate::wiring::{self, Built, Parts, Surrounded};
use shoalway_http::pool::PoolRegistry;
use shoalway_net::blocking::Blocking;
use shoalway_net::fleet::{Fleet, FleetConfig};
use shoalway_net::journal::Writer;
use shoalway_net::limits::Limits;
use shoalway_net::listener;
use shoalway_reverse::upstream::Upstream;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Commands that may wait for the control loop.
const COMMANDS: usize = 16;
/// Threads for slow work, at most; one a core below that.
const BLOCKING: usize = 4;

/// The running program.
pub struct Running {
    /// What to load again at a reload.
    pub request: Request,
    /// What is in force.
    pub settings: Settings,
    /// All shards.
    pub fleet: Arc<Fleet>,
    /// Idle upstream connections of all shards.
    pub registry: Arc<PoolRegistry>,
    /// Threads for slow work.
    pub blocking: Blocking,
    /// All listeners.
    pub listening: Vec<Listening>,
    /// All upstreams of sites and streams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Listeners that the forward proxy has left at the last reload.
    pub left: Vec<Arc<str>>,
    /// What the next reload may use again.
    pub parts: Parts,
    /// Keeps certificates.
    pub keeping: Keeping,
    /// Sends spans.
    pub exporting: Exporting,
    /// Tends the overlay's parts.
    pub tending: Tending,
    /// The access log.
    pub log: LogControl,
    /// What the admin port tells.
    pub board: Arc<Board>,
    /// Admin port and control socket.
    pub admin: Admin,
    /// Most connections that the limit of open files allows.
    pub connections: usize,
    /// Bytes buffers may take.
    pub memory: u64,
    /// For the program that started us.
    pub events: Events,
    /// For the service manager.
    pub notify: Notify,
    /// The program's own messages.
    pub messages: Messages,
    /// Threads of the shards.
    pub threads: Vec<JoinHandle<()>>,
    /// Thread of the access log.
    pub writer: JoinHandle<()>,
}

impl Running {
    /// Opens everything and begins to serve.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays open.
    pub async fn open(
        request: Request,
        loaded: Loaded,
        events: Events,
        notify: Notify,
        messages: Messages,
    ) -> Result<(Self, mpsc::Receiver<Command>), StartError> {
        let connections = resources::raise_open_files();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = loaded.settings.shards.unwrap_or(cores);
        let Opened { change, port, socket, log } = Opened::new(&loaded, shards)?;
        let settings = loaded.settings;
        let built = first_build(&settings, &change, &own(port.as_ref()), connections).await?;

        let limits = wiring::limits(&settings.limits, connections);
        let memory = resources::memory(settings.limits.memory);
        let Threads { fleet, threads, writer, blocking } =
            Threads::start(shards, cores, memory, limits, &log)?;
        let board = Arc::new(Board::new(Arc::clone(&fleet), log.clone()));
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let mut admin = Admin::new(Arc::clone(&board), commands);
        admin.set_port(port).map_err(|source| StartError::System { what: "admin port", source })?;
        admin.set_socket(socket).map_err(|source| StartError::System { what: "control socket", source })?;

        let registry = Arc::<PoolRegistry>::default();
        let upstreams = built.upstreams();
        let mut parts = built.parts;
        parts.take_force();
        let load = Load {
            registry: Arc::clone(&registry),
            limits,
            format: format(&settings.log),
            left: Vec::new(),
            forgotten: Vec::new(),
            watches: built.watches,
            overlaid: parts.overlaid().clone(),
        };
        let listening = shards::put(&fleet, change, &built.plans, load)
            .await
            .map_err(|source| StartError::System { what: "listener", source })?;
        let mut running = Self {
            request,
            settings,
            fleet,
            registry,
            blocking,
            listening,
            upstreams,
            left: Vec::new(),
            parts,
            keeping: Keeping::default(),
            exporting: Exporting::default(),
            tending: Tending::default(),
            log,
            board,
            admin,
            connections,
            memory,
            events,
            notify,
            messages,
            threads,
            writer,
        };
        running.keep();
        running.trace().await;
        running.publish();
        running.tell();
        Ok((running, receiver))
    }

    /// Lets certificates be kept as the configuration in force says.
    pub fn keep(&mut self) {
        let keeper = self.parts.keeper();
        self.admin.set_certs(keeper.clone());
        self.keeping.set(keeper);
        self.tending.set(self.parts.overlaid());
        self.admin.set_overlaid(self.parts.overlaid().clone());
    }

    /// Lets spans be sampled and sent as the configuration in force says.
    pub async fn trace(&mut self) {
        let wanted = self.settings.trace.clone().map(|trace| (trace, self.settings.log.privacy));
        self.exporting.set(wanted, self.parts.resolver(), &self.board.traces, &self.fleet).await;
    }

    /// Puts on the board what is in force now.
    pub fn publish(&self) {
        let before = self.board.in_force();
        let in_force = InForce::new(&self.settings, &self.listening, &self.upstreams, &before);
        self.board.set_in_force(InForce {
            file: self.request.file.clone(),
            admin: self.admin.address(),
            connections: self.fleet.limits().connections,
            memory: self.memory,
            ..in_force
        });
    }

    fn tell(&self) {
        for listening in &self.listening {
            let address = listening.address.to_string();
            match &listening.binding.role {
                Role::Forward(_) => self.events.listening("proxy", &address),
                Role::Stream(name) => self.events.listening(&format!("streams.{name}"), &address),
                Role::Sites { .. } => {
                    let here = |site: &&SiteSettings| site.listen.contains(&listening.binding.addr);
                    for site in self.settings.sites.iter().filter(here) {
                        self.events.listening(&format!("sites.{}", site.name), &address);
                    }
                }
            }
        }
        if let Some(address) = self.admin.address() {
            self.events.listening("admin", &address.to_string());
        }
        if let Some(path) = self.admin.socket() {
            self.events.listening("socket", &path.display().to_string());
        }
        self.board.set_state(State::Ready);
        self.events.ready();
        self.notify.ready();
    }

    /// Counters of all listeners there ever were.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        self.board.in_force().counters.clone()
    }

    /// When the configuration in force was loaded, such as `14:02:11 UTC`.
    #[must_use]
    pub fn since(&self) -> String {
        let text = crate::log::Moment::at(self.board.in_force().loaded_s).to_string();
        let time = text.split_once('T').map_or("", |(_, time)| time.trim_end_matches('Z'));
        let day = board::now_s() / 86_400 == self.board.in_force().loaded_s / 86_400;
        if day { format!("{time} UTC") } else { text }
    }
}

/// What must be had before anything else begins.
struct Opened {
    change: Change,
    port: Option<(SocketAddr, TcpListener)>,
    socket: Option<ControlSocket>,
    log: LogControl,
}

impl Opened {
    fn new(loaded: &Loaded, shards: usize) -> Result<Self, StartError> {
        let settings = &loaded.settings;
        let change = listeners::change(&[], &[], &Binding::all(settings), &[], shards)?;
        let port = admin_port(&settings.admin, &[])?;
        let socket = control_socket(&settings.admin, socket_is_written(loaded))?;
        let log = LogControl::default();
        log.switch(open_log(&settings.log)?);
        Ok(Self { change, port, socket, log })
    }
}

async fn first_build(
    settings: &Settings,
    change: &Change,
    also_own: &[SocketAddr],
    connections: usize,
) -> Result<Built, StartError> {
    let control = Handle::current();
    let addresses = wiring::addresses_of_servers(&settings.dns, &control).await?;
    let listening: Vec<Listening> = change.wanted.iter().map(|wanted| wanted.listening.clone()).collect();
    let from = Surrounded {
        listening: &listening,
        left: &[],
        also_own,
        addresses: &addresses,
        control: &control,
        connections,
    };
    Ok(wiring::build(settings, None, &from)?)
}

/// All threads but this one.
struct Threads {
    fleet: Arc<Fleet>,
    threads: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    blocking: Blocking,
}

impl Threads {
    fn start(
        shards: usize,
        cores: usize,
        memory: u64,
        limits: Limits,
        log: &LogControl,
    ) -> Result<Self, StartError> {
        let none = |source| StartError::System { what: "thread", source };
        let blocking = Blocking::start(cores.min(BLOCKING)).map_err(none)?;
        let (handle, writer) = Writer::new(shards);
        let sink = log.sink();
        let name = "writer".to_owned();
        let writer = std::thread::Builder::new().name(name).spawn(move || writer.run(sink)).map_err(none)?;
        let config = FleetConfig { shards, memory, limits, writer: Some(handle), blocking: blocking.clone() };
        let (fleet, threads) = Fleet::start(&config).map_err(none)?;
        // The writer ends when the last handle to it is gone, and `config` goes here.
        Ok(Self { fleet, threads, writer, blocking })
    }
}

/// Whether somebody wrote where the control socket is.
#[must_use]
pub fn socket_is_written(loaded: &Loaded) -> bool {
    let is_socket = |entry: &Entry| entry.table == ["admin"] && entry.key == "socket";
    loaded.view.entries().iter().any(|entry| is_socket(entry) && entry.origin.is_some())
}

/// The form of the access log; none when it is off.
#[must_use]
pub fn format(log: &LogSettings) -> Option<Format> {
    match log.access {
        AccessLog::Off => None,
        AccessLog::Stdout | AccessLog::File(_) => Some(Format { form: log.format, privacy: log.privacy }),
    }
}

/// Opens the access log.
///
/// # Errors
/// [`StartError::Log`].
pub fn open_log(log: &LogSettings) -> Result<Destination, StartError> {
    Destination::open(&log.access).map_err(|source| {
        let path = match &log.access {
            AccessLog::File(path) => path.clone(),
            AccessLog::Off | AccessLog::Stdout => "stdout".into(),
        };
        StartError::Log { path, source }
    })
}

/// The admin port, beside sockets of ours on `own`. One that nobody asked for gives way when its address is taken.
///
/// # Errors
/// [`StartError`] when somebody asked for it.
pub fn admin_port(
    settings: &AdminSettings,
    own: &[SocketAddr],
) -> Result<Option<(SocketAddr, TcpListener)>, StartError> {
    let Some(wanted) = settings.listen else { return Ok(None) };
    match listener::bind_beside(wanted, 1, own) {
        Ok(sockets) => Ok(sockets.into_iter().next().map(|socket| (wanted, socket))),
        Err(source) if settings.explicit => Err(StartError::listen(wanted, "admin.listen", source)),
        Err(error) => {
            tracing::warn!(%wanted, %error, "no admin port: `-o admin.listen=ADDRESS` names another");
            Ok(None)
        }
    }
}

/// The control socket. One that nobody asked for is done without when it cannot be made.
///
/// # Errors
/// [`StartError::Socket`] when somebody asked for it.
pub fn control_socket(settings: &AdminSettings, written: bool) -> Result<Option<ControlSocket>, StartError> {
    match ControlSocket::open(&settings.socket, settings.make_socket_dir) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if written => {
            let source = match error {
                SocketError::System(source) => source,
                other => std::io::Error::other(other),
            };
            Err(StartError::Socket { path: settings.socket.clone(), source })
        }
        Err(error) => {
            let path = settings.socket.display();
            tracing::warn!(%path, %error, "no control socket: `status`, `reload` and `drain` cannot reach this proxy");
            Ok(None)
        }
    }
}

/// Sockets of ours besides the proxy's listeners.
#[must_use]
pub fn own(port: Option<&(SocketAddr, TcpListener)>) -> Vec<SocketAddr> {
    port.and_then(|(_, socket)| socket.local_addr().ok()).into_iter().collect()
}
