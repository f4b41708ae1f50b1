//! Tells a service manager what state the program is in: the datagrams of sd_notify(3), written by hand.
//!
//! A socket whose name begins with `@` is in the abstract namespace. Without `$NOTIFY_SOCKET` nothing happens. Not
//! here: watchdog, sockets passed by the manager.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to the service manager, if there is one.
pub struct Notify {
    to: Option<SocketAddr>,
}

impl Notify {
    /// The socket named by the value of `$NOTIFY_SOCKET`.
    #[must_use]
    pub fn new(socket: Option<&OsStr>) -> Self {
        Self { to: socket.filter(|name| !name.is_empty()).and_then(|name| address(name).ok()) }
    }

    /// All listeners stand.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload begins; [`Self::ready`] ends it. systemd.service(5) wants the time with `Type=notify-reload`.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// The program is ending.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, state: &str) {
        let Some(to) = &self.to else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(state.as_bytes(), to));
        if let Err(error) = sent {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_every_state() {
        let name = format!("@shoalway-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&address(OsStr::new(&name)).unwrap()).unwrap();
        let notify = Notify::new(Some(OsStr::new(&name)));
        let heard = || {
            let mut text = [0; 128];
            let n = manager.recv(&mut text).unwrap();
            String::from_utf8(text[..n].to_vec()).unwrap()
        };
        notify.ready();
        assert_eq!(heard(), "READY=1");
        notify.reloading();
        let text = heard();
        let us = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(us.parse::<u64>().unwrap() > 0, "{text}");
        notify.stopping();
        assert_eq!(heard(), "STOPPING=1");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Notify::new(None).ready();
        Notify::new(Some(OsStr::new("/nowhere/at/all"))).stopping();
    }
}
