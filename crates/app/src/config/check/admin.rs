//! The section `[admin]`: a port that never leaves loopback, and the control socket.

use super::Check;
use super::listeners::address;
use super::places::Places;
use crate::config::catalogue::Code;
use crate::config::file::AdminSection;
use crate::config::report::Problem;
use crate::config::settings::AdminSettings;
use crate::config::surroundings::Surroundings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Checks the admin section.
pub(super) fn admin(section: &AdminSection, places: &Places, check: &mut Check<'_>) -> AdminSettings {
    let explicit = section.listen.is_written();
    let listen = port(section, places, check).filter(|addr| {
        // A default that meets a listener gives way; only a written one is a mistake.
        explicit || places.meets(*addr).is_none()
    });
    let (socket, make_socket_dir) = match &section.socket {
        Some(at) => (check.path(at), false),
        None => default_socket(check.surroundings),
    };
    AdminSettings { listen, explicit, socket, make_socket_dir }
}

fn port(section: &AdminSection, places: &Places, check: &mut Check<'_>) -> Option<SocketAddr> {
    let at = &section.listen;
    if at.get() == "off" {
        return None;
    }
    let addr = address(at, check)?;
    if !addr.ip().to_canonical().is_loopback() {
        let problem =
            Problem::new(Code::OpenAdmin, at.place(), format!("others could reach the admin port {addr}"));
        check.add(problem.fix(format!("write listen = \"127.0.0.1:{}\"", addr.port())));
        return None;
    }
    if let (true, Some(other)) = (at.is_written(), places.meets(addr)) {
        let problem = Problem::new(Code::SameAddress, at.place(), format!("{addr} is listened on twice"));
        check.add(problem.label("the admin port").also(other, "another listener"));
    }
    Some(addr)
}

/// The socket when nobody names one, and whether its directory is made.
pub(super) fn default_socket(surroundings: &Surroundings) -> (PathBuf, bool) {
    if let Some(dir) = surroundings.filled("XDG_RUNTIME_DIR") {
        return (Path::new(dir).join("shoalway.sock"), false);
    }
    match surroundings.user() {
        0 => (PathBuf::from("/run/shoalway/shoalway.sock"), true),
        user => (PathBuf::from(format!("/tmp/shoalway-{user}/shoalway.sock")), true),
    }
}
