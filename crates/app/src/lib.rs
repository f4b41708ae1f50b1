//! Shoalway's program: its configuration, its command line, and how the parts are put together.
//!
//! What is where: [`config`] and [`cli`] are what users see; [`run`] opens everything and [`wiring`] says what the
//! parts are made of; [`cert`] keeps certificates; [`lab`] is a whole network for trying out; [`control`] and [`reload`] are the program's life; [`log`], [`otlp`],
//! [`metrics`] and [`admin`] tell about it; [`operate`] asks a running one. Only this crate knows the file format, the environment and the command line.

pub mod config;

pub mod cli;

pub mod start;

pub mod lab;

pub mod cert;

pub mod node;

pub mod run;
pub mod wiring;

pub mod control;
pub mod reload;

pub mod log;
pub mod metrics;
pub mod otlp;

pub mod admin;
pub mod operate;

use cli::{Exit, Output, Service};
use run::Greeting;
use std::io;

/// Does what only the proxy can do: runs it, or asks the one that runs.
///
/// # Errors
/// When the answer cannot be written.
pub fn serve(service: Service, output: Output) -> io::Result<Exit> {
    match service {
        Service::Local(request) => run::run(*request, output, Greeting::Banner),
        Service::Run(request) => run::run(*request, output, Greeting::Plain),
        Service::Status(request) => operate::status(&request, output),
        Service::Reload(request) => operate::reload(&request, output),
        Service::Drain(request) => operate::drain(&request, output),
        Service::Cert(request, ask) => operate::cert(&ask, &request, output),
        Service::Upstream(request, command) => operate::upstream(&command, &request, output),
        Service::Lab(args, surroundings) => lab::run((*args).into(), &surroundings, output),
        Service::NodeStatus(request) => operate::node(&request, output),
        Service::NodeDrain(request) => operate::drain_node(&request, output),
        Service::Healthcheck(request) => operate::healthcheck(&request, output),
    }
}
