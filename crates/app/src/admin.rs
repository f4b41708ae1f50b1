//! State, metrics and control of the running program over HTTP: a TCP port that only tells, a Unix socket that obeys.
//!
//! | Path | Port | Socket | Answer |
//! |---|---|---|---|
//! | `GET /healthz` | yes | yes | 200 while the process lives |
//! | `GET /readyz` | yes | yes | 200, or 503 while starting or draining; sites that have no certificate yet are named |
//! | `GET /metrics` | yes | yes | Prometheus text |
//! | `GET /status` | yes | yes | JSON without clients, users and destinations |
//! | `GET /upstreams` | yes | yes | JSON: every endpoint and how it fares |
//! | `POST /upstreams` | no | yes | 200 with the upstream, or 400, 404, 409 with the error |
//! | `GET /certs` | no | yes | JSON: every certificate that is kept, with its last error |
//! | `POST /certs` | no | yes | 200 when renewed or rehearsed, or 400, 404, 409 with the error |
//! | `GET /overlay/HOST` | no | yes | JSON: through which exits flows to a host went |
//! | `POST /node/drain` | no | yes | 202; the exit takes no new streams, or 404 |
//! | `POST /reload` | no | yes | 200, or 422 with the report |
//! | `POST /drain` | no | yes | 202; the program ends when its work is done |
//!
//! The port asks for a `Host` that names this machine, so that no web page can read it by DNS rebinding, and changes
//! nothing. Who may open the socket is the file system's matter: mode 0600. Not here: what a reload does.

mod bounded;
mod certs;
mod host;
mod status;
mod upstreams;

pub mod socket;

pub use status::status;

use crate::cert::CertKeeper;
use crate::metrics;
use crate::node::{Overlaid, shown};
use crate::run::board::{Board, State as Phase};
use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bounded::Bounded;
use bytes::Bytes;
use serde_json::{Value, json};
use socket::ControlSocket;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// What the socket may ask the control loop for.
pub enum Command {
    /// Load the configuration again.
    Reload(oneshot::Sender<Reloaded>),
    /// Finish and end.
    Drain(oneshot::Sender<()>),
}

/// What came of a reload.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The new configuration is in force.
    pub ok: bool,
    /// Exit code for who asked.
    pub exit: u8,
    /// For people; ends in a newline unless empty.
    pub text: String,
    /// For programs.
    pub report: Value,
}

/// What every handler has.
#[derive(Clone)]
struct Shared {
    board: Arc<Board>,
    commands: mpsc::Sender<Command>,
    certs: Arc<ArcSwapOption<CertKeeper>>,
    overlaid: Arc<ArcSwap<Overlaid>>,
}

/// The admin port and the control socket, as tasks that end with this value.
pub struct Admin {
    shared: Shared,
    tasks: JoinSet<()>,
    /// True when the program ends.
    ending: watch::Sender<bool>,
    port: Option<Port>,
    socket: Option<(ControlSocket, AbortHandle)>,
}

struct Port {
    wanted: SocketAddr,
    address: SocketAddr,
    task: AbortHandle,
}

impl Admin {
    /// Nothing is open yet. Must be made and used within the control runtime.
    #[must_use]
    pub fn new(board: Arc<Board>, commands: mpsc::Sender<Command>) -> Self {
        let shared = Shared { board, commands, certs: Arc::default(), overlaid: Arc::default() };
        Self { shared, tasks: JoinSet::new(), ending: watch::Sender::new(false), port: None, socket: None }
    }

    /// Serves the port on a socket that was bound to `wanted`, instead of the one before.
    ///
    /// # Errors
    /// When the runtime does not take the socket.
    pub fn set_port(&mut self, new: Option<(SocketAddr, std::net::TcpListener)>) -> io::Result<()> {
        let opened = match new {
            Some((wanted, socket)) => {
                let address = socket.local_addr()?;
                let listener = Bounded::new(tokio::net::TcpListener::from_std(socket)?);
                let guard = middleware::from_fn_with_state(address.ip(), host::only_this_machine);
                let service = telling().with_state(self.shared.clone()).layer(guard);
                let end = self.told_to_end();
                let task = self.tasks.spawn(async move {
                    drop(axum::serve(listener, service).with_graceful_shutdown(end).await);
                });
                Some(Port { wanted, address, task })
            }
            None => None,
        };
        if let Some(old) = std::mem::replace(&mut self.port, opened) {
            old.task.abort();
        }
        Ok(())
    }

    /// Serves the control socket, instead of the one before.
    ///
    /// # Errors
    /// When the runtime does not take the socket.
    pub fn set_socket(&mut self, new: Option<ControlSocket>) -> io::Result<()> {
        let opened = match new {
            Some(socket) => {
                let listener = Bounded::new(socket.listener()?);
                let obeying = telling()
                    .route("/reload", post(reload))
                    .route("/drain", post(drain))
                    .route("/certs", get(certs_page).post(act_on_cert))
                    .route("/upstreams", post(change_upstream))
                    .route("/overlay/{host}", get(flows_page))
                    .route("/node/drain", post(drain_node));
                let service = obeying.with_state(self.shared.clone());
                let end = self.told_to_end();
                let task = self.tasks.spawn(async move {
                    drop(axum::serve(listener, service).with_graceful_shutdown(end).await);
                });
                Some((socket, task))
            }
            None => None,
        };
        if let Some((_old, task)) = std::mem::replace(&mut self.socket, opened) {
            task.abort();
        }
        Ok(())
    }

    fn told_to_end(&self) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.subscribe();
        async move { drop(ending.wait_for(|ending| *ending).await) }
    }

    /// Takes no more questions and waits, but not for long, until the answers under way have left: whoever asked the
    /// program to end is told that it does.
    pub async fn end(mut self) {
        self.ending.send_replace(true);
        let answers = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(ANSWERS, answers).await.is_err() {
            tracing::debug!("somebody at the admin port or the control socket does not go");
        }
    }

    /// Who keeps certificates from now on, if anybody.
    pub fn set_certs(&self, keeper: Option<Arc<CertKeeper>>) {
        self.shared.certs.store(keeper);
    }

    /// The overlay's parts from now on.
    pub fn set_overlaid(&self, parts: Overlaid) {
        self.shared.overlaid.store(Arc::new(parts));
    }

    /// The address the port was asked for, if there is one.
    #[must_use]
    pub fn wanted(&self) -> Option<SocketAddr> {
        self.port.as_ref().map(|port| port.wanted)
    }

    /// Where the port really is.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.port.as_ref().map(|port| port.address)
    }

    /// The control socket's place.
    #[must_use]
    pub fn socket(&self) -> Option<&std::path::Path> {
        self.socket.as_ref().map(|(socket, _)| socket.path())
    }
}

/// How long answers under way may take to leave when the program ends.
const ANSWERS: Duration = Duration::from_secs(1);

/// What changes nothing.
fn telling() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/status", get(status_page))
        .route("/upstreams", get(upstreams_page))
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    let state = shared.board.state();
    let code = match state {
        Phase::Ready => StatusCode::OK,
        Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let missing = certs::missing(shared.certs.load().as_deref());
    let cut_off = shared.overlaid.load().overlay.as_deref().is_some_and(shown::is_cut_off);
    let cut_off = if cut_off { "the overlay has no entry or no directory at present\n" } else { "" };
    (code, format!("{}\n{missing}{cut_off}", state.word()))
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let page = metrics::render(&shared.board)
        + &metrics::certificates(&certs::listed(shared.certs.load().as_deref()))
        + &metrics::overlay(&shared.overlaid.load());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
}

async fn status_page(State(shared): State<Shared>) -> Response {
    json_answer(StatusCode::OK, &status_of(&shared))
}

fn status_of(shared: &Shared) -> Value {
    let mut status = status(&shared.board);
    if let Some(object) = status.as_object_mut() {
        object.insert("certificates".to_owned(), certs::brief(shared.certs.load().as_deref()));
        let (overlay, node) = shown::status(&shared.overlaid.load());
        object.insert("overlay".to_owned(), overlay);
        object.insert("node".to_owned(), node);
    }
    status
}

async fn upstreams_page(State(shared): State<Shared>) -> Response {
    json_answer(StatusCode::OK, &json!({ "upstreams": upstreams::all(&shared.board) }))
}

async fn change_upstream(State(shared): State<Shared>, body: Bytes) -> Response {
    match upstreams::change(&shared.board, &body) {
        Ok(upstream) => json_answer(StatusCode::OK, &upstream),
        Err(error) => {
            let code = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            json_answer(code, &json!({ "ok": false, "error": error.to_string() }))
        }
    }
}

async fn flows_page(State(shared): State<Shared>, Path(host): Path<String>) -> Response {
    json_answer(StatusCode::OK, &shown::flows(&shared.overlaid.load(), &host))
}

/// The exit takes no new streams; what is under way goes on.
async fn drain_node(State(shared): State<Shared>) -> Response {
    let parts = shared.overlaid.load();
    let Some(exit) = parts.node.as_ref().and_then(|node| node.exit.as_ref()) else {
        return json_answer(
            StatusCode::NOT_FOUND,
            &json!({ "ok": false, "error": "this program is no exit" }),
        );
    };
    exit.closed.store(true, Relaxed);
    json_answer(StatusCode::ACCEPTED, &status_of(&shared))
}

async fn reload(State(shared): State<Shared>) -> Response {
    let (answer, wait) = oneshot::channel();
    if shared.commands.send(Command::Reload(answer)).await.is_err() {
        return ending();
    }
    match wait.await {
        Ok(done) => {
            let code = if done.ok { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            let answer =
                json!({ "ok": done.ok, "exit": done.exit, "text": done.text, "report": done.report });
            json_answer(code, &answer)
        }
        Err(_gone) => ending(),
    }
}

async fn drain(State(shared): State<Shared>) -> Response {
    let (answer, wait) = oneshot::channel();
    if shared.commands.send(Command::Drain(answer)).await.is_err() || wait.await.is_err() {
        return ending();
    }
    json_answer(StatusCode::ACCEPTED, &status(&shared.board))
}

async fn certs_page(State(shared): State<Shared>) -> Response {
    json_answer(StatusCode::OK, &certs::all(shared.certs.load().as_deref()))
}

async fn act_on_cert(State(shared): State<Shared>, body: Bytes) -> Response {
    let (code, answer) = Box::pin(certs::act(shared.certs.load_full(), &body)).await;
    json_answer(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &answer)
}

fn ending() -> Response {
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ok": false, "error": "the program is ending" }))
}

fn json_answer(code: StatusCode, value: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}
