//! Why the program could not start, each with a stable code and what to do about it.
//!
//! `docs/errors.md` explains the codes. Not here: mistakes of the configuration (`config/catalogue`).

use super::holder::{self, Holder};
use crate::cli::Exit;
use crate::wiring::WiringError;
use shoalway_net::listener;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A free port is looked for at so many places above the wanted one.
const PORTS_TRIED: u16 = 20;

/// Why a listener, a socket or a part could not be set up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens there.
    #[error("{addr} is in use{}", by(holder.as_ref()))]
    InUse {
        /// The address.
        addr: SocketAddr,
        /// The key that names it, where `-o` can give another; else empty.
        key: &'static str,
        /// Who has it, when that can be seen.
        holder: Option<Holder>,
    },
    /// The system refuses the address.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket {}: {source}", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A part of the configuration cannot be used.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The system gives no thread, runtime or timer.
    #[error("the system gives no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl StartError {
    /// What became of `bind`.
    #[must_use]
    pub fn listen(addr: SocketAddr, key: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            return Self::InUse { addr, key, holder: holder::find(addr) };
        }
        Self::Listen { addr, source }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "N003",
            Self::Listen { .. } => "N004",
            Self::Log { .. } => "N005",
            Self::Socket { .. } => "N006",
            Self::Wiring(_) => "N007",
            Self::System { .. } => "N008",
        }
    }

    /// What to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { key: "", .. } => "stop it, or give another `listen`".to_owned(),
            Self::InUse { addr, key, .. } => match free_port_above(*addr) {
                Some(port) => {
                    let free = SocketAddr::new(addr.ip(), port);
                    format!("stop it, or: shoalway run -o {key}={free}")
                }
                None => format!("stop it, or give another address: -o {key}=ADDRESS:PORT"),
            },
            Self::Listen { source, addr } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("port {} needs root or the capability CAP_NET_BIND_SERVICE", addr.port())
                }
                io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
                _ => String::new(),
            },
            Self::Log { .. } => "give another with -o log.access=FILE, or `off`".to_owned(),
            Self::Socket { .. } => "give another with -o admin.socket=PATH".to_owned(),
            Self::Wiring(WiringError::Keeping(error)) => error.hint(),
            Self::Wiring(_) | Self::System { .. } => String::new(),
        }
    }

    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Listen { source, .. } | Self::Log { source, .. } | Self::Socket { source, .. }
                if denied(source) =>
            {
                Exit::NotPermitted
            }
            Self::Wiring(WiringError::Keeping(error)) => error.exit(),
            Self::Wiring(_) => Exit::BadConfig,
            Self::InUse { .. }
            | Self::Listen { .. }
            | Self::Log { .. }
            | Self::Socket { .. }
            | Self::System { .. } => Exit::Failed,
        }
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|Holder { name, pid }| format!(" by {name} (pid {pid})")).unwrap_or_default()
}

fn free_port_above(addr: SocketAddr) -> Option<u16> {
    (0..PORTS_TRIED)
        .filter_map(|n| addr.port().checked_add(10 + n))
        .find(|port| listener::bind(SocketAddr::new(addr.ip(), *port), 1).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder_and_a_free_one() {
        let taken = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let addr = taken[0].local_addr().unwrap();
        let source = listener::bind(addr, 1).unwrap_err();
        let error = StartError::listen(addr, "proxy.listen", source);
        let text = error.to_string();
        assert!(text.starts_with(&format!("{addr} is in use by ")), "{text}");
        assert!(text.ends_with(&format!(" (pid {})", std::process::id())), "{text}");
        assert_eq!((error.code(), error.exit()), ("N003", Exit::Failed));
        let hint = error.hint();
        let (_, free) = hint.split_once("shoalway run -o proxy.listen=").unwrap();
        assert!(listener::bind(free.parse().unwrap(), 1).is_ok(), "{hint}");
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let addr = "192.0.2.1:3128".parse().unwrap();
        let error = StartError::listen(addr, "proxy.listen", listener::bind(addr, 1).unwrap_err());
        assert_eq!(error.code(), "N004");
        assert_eq!(error.hint(), "this machine does not have that address");
    }

    #[test]
    fn every_code_is_explained() {
        let page = include_str!("../../../../docs/errors.md");
        let path = PathBuf::from("x");
        let source = || io::Error::from(io::ErrorKind::PermissionDenied);
        let addr = "127.0.0.1:1".parse().unwrap();
        for error in [
            StartError::InUse { addr, key: "proxy.listen", holder: None },
            StartError::Listen { addr, source: source() },
            StartError::Log { path: path.clone(), source: source() },
            StartError::Socket { path: path.clone(), source: source() },
            StartError::Wiring(WiringError::Read { path, source: source() }),
            StartError::System { what: "thread", source: source() },
        ] {
            assert_eq!(page.matches(&format!("\n## {}: ", error.code())).count(), 1, "{}", error.code());
        }
    }
}
