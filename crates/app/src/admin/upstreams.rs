//! Upstreams of sites and streams: how each endpoint fares, and changes to them while the program runs.
//!
//! What is changed here holds until the program ends: weights and draining always, endpoints that were added or removed
//! until a reload brings other settings for the upstream. Endpoints are the operator's own addresses; no client is in it.
//! Not here: picking (`reverse/balance`), the text of `shoalway upstream` (`operate/upstreams`).

use crate::run::board::Board;
use serde::Deserialize;
use serde_json::{Value, json};
use shoalway_reverse::breaker::Bound;
use shoalway_reverse::discovery::file as lines;
use shoalway_reverse::upstream::{Change, ChangeError, Endpoint, EndpointSpec, Scheme, Upstream};
use std::sync::Arc;
use tokio::time::Instant;

/// All upstreams as JSON, in the order of the configuration.
#[must_use]
pub(super) fn all(board: &Board) -> Vec<Value> {
    board.in_force().upstreams.iter().map(|upstream| one(upstream)).collect()
}

/// One upstream as JSON.
fn one(upstream: &Upstream) -> Value {
    let now = upstream.moment(Instant::now());
    let set = upstream.set();
    let availability = set.availability(now);
    let endpoint = |endpoint: &Endpoint| {
        let state = endpoint.state();
        let totals = state.totals();
        json!({
            "endpoint": endpoint.key().to_string(),
            "healthy": state.is_healthy(now),
            "check": state.verdict().word(),
            "last_check": state.last_check(),
            "ejected": state.is_ejected(now),
            "draining": state.is_draining(),
            "weight": endpoint.weight(),
            "priority": endpoint.spec().priority,
            "zone": endpoint.spec().zone.as_deref(),
            "in_flight": state.in_flight(),
            "latency_ms": state.latency(now).map(|latency| latency.as_secs_f64() * 1_000.0),
            "picks": totals.picks,
            "successes": totals.successes,
            "failures": totals.failures,
            "ejections": totals.ejections,
        })
    };
    json!({
        "name": &*upstream.config().name,
        "endpoints": set.endpoints().iter().map(endpoint).collect::<Vec<_>>(),
        "available": availability.available,
        "healthy": availability.healthy,
        "requests": upstream.breaker().used(Bound::Requests),
        "pending": upstream.breaker().used(Bound::Pending),
    })
}

/// What is asked of an upstream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Its name.
    pub(super) upstream: String,
    /// What to do.
    #[serde(rename = "do")]
    pub(super) action: Action,
    /// An endpoint as the configuration writes it; to be added, perhaps with options.
    pub(super) endpoint: String,
    /// For [`Action::Weight`]; none: that of the configuration again.
    #[serde(default)]
    pub(super) weight: Option<u32>,
}

/// What can be done to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// Take it in.
    Add,
    /// Leave it out; what is under way goes on.
    Remove,
    /// Send it nothing new.
    Drain,
    /// Send to it again.
    Resume,
    /// Give it another weight.
    Weight,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefusedChange {
    /// The body is not what it should be.
    #[error("not understood: {0}")]
    Body(String),
    /// There is no such upstream.
    #[error("there is no upstream `{0}`")]
    NoUpstream(String),
    /// That is no endpoint.
    #[error("`{text}` is not an endpoint: {why}")]
    Endpoint {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The upstream refuses.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl RefusedChange {
    /// The HTTP status it is told with.
    #[must_use]
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Body(_) | Self::Endpoint { .. } | Self::Change(ChangeError::Weight) => 400,
            Self::NoUpstream(_) | Self::Change(ChangeError::Unknown) => 404,
            Self::Change(ChangeError::Exists) => 409,
        }
    }
}

/// Does what the body of a request asks, and gives the upstream as it is then.
///
/// # Errors
/// [`RefusedChange`]; nothing was changed.
pub(super) fn change(board: &Board, body: &[u8]) -> Result<Value, RefusedChange> {
    let asked: Asked =
        serde_json::from_slice(body).map_err(|error| RefusedChange::Body(error.to_string()))?;
    let in_force = board.in_force();
    let is_meant = |upstream: &&Arc<Upstream>| *upstream.config().name == *asked.upstream;
    let upstream = in_force.upstreams.iter().find(is_meant);
    let upstream = upstream.ok_or_else(|| RefusedChange::NoUpstream(asked.upstream.clone()))?;
    let spec = endpoint(upstream, &asked.endpoint)?;
    let key = spec.key.clone();
    let change = match asked.action {
        Action::Add => Change::Add(EndpointSpec { weight: asked.weight.unwrap_or(spec.weight), ..spec }),
        Action::Remove => Change::Remove(key),
        Action::Drain => Change::Drain(key),
        Action::Resume => Change::Resume(key),
        Action::Weight => Change::Weight(key, asked.weight),
    };
    upstream.apply(&change, upstream.moment(Instant::now()))?;
    tracing::info!(upstream = %asked.upstream, change = ?asked.action, "an upstream was changed");
    Ok(one(upstream))
}

/// An endpoint as it is written, spoken to as the others of its upstream where it names no scheme.
fn endpoint(upstream: &Upstream, text: &str) -> Result<EndpointSpec, RefusedChange> {
    let set = upstream.set();
    let scheme = set.endpoints().first().map_or(Scheme::Http, |first| first.key().scheme);
    let wrong = |why: String| RefusedChange::Endpoint { text: text.to_owned(), why };
    let mut specs = lines::parse(text, scheme).map_err(|error| match error {
        lines::FileError::Line { fault, .. } => wrong(fault.to_string()),
        other @ (lines::FileError::Read(_) | lines::FileError::TooLarge | lines::FileError::Empty) => {
            wrong(other.to_string())
        }
    })?;
    match (specs.pop(), specs.is_empty()) {
        (Some(spec), true) if kind(spec.key.scheme) == kind(scheme) => Ok(spec),
        (Some(_), true) => Err(wrong(format!("the others are {}", scheme.word()))),
        (Some(_) | None, _) => Err(wrong("it is not one".to_owned())),
    }
}

/// Schemes of one kind can stand in one upstream.
const fn kind(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Http | Scheme::Https | Scheme::H2c => 0,
        Scheme::Tcp => 1,
        Scheme::Udp => 2,
    }
}
