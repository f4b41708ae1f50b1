//! The listeners of the forward proxy: addresses, TLS, and the refusal to be an open proxy.

use super::Check;
use super::access::Access;
use super::named_files::NamedFile;
use super::places::{By, Places};
use crate::config::at::{At, Place};
use crate::config::catalogue::Code;
use crate::config::file::{ProxySection, TlsSection};
use crate::config::report::Problem;
use crate::config::settings::{ListenerSettings, TlsSettings, Transport};
use std::net::{IpAddr, SocketAddr};

/// TLS as far as it could be checked.
#[derive(Default)]
pub(super) struct Tls {
    pub(super) settings: Option<TlsSettings>,
    /// The content of all files, for the fingerprint.
    pub(super) content: Vec<String>,
}

/// A listener and the place of its address.
pub(super) struct Listener {
    pub(super) settings: ListenerSettings,
    pub(super) place: Place,
}

/// Checks the files of `tls`.
pub(super) fn tls(section: Option<&TlsSection>, check: &mut Check<'_>) -> Tls {
    let Some(TlsSection { cert, key, client_ca }) = section else { return Tls::default() };
    let (cert, key) = certificate(cert.as_ref(), key.as_ref(), client_ca.as_ref(), check);
    let ca = client_ca.as_ref().and_then(|at| client_authority(at, check));
    let content = [&cert, &key, &ca].into_iter().flatten().map(|file| file.text.clone()).collect();
    let (Some(cert), Some(key)) = (cert, key) else { return Tls { settings: None, content } };
    let settings = TlsSettings { cert: cert.path, key: key.path, client_ca: ca.map(|file| file.path) };
    Tls { settings: Some(settings), content }
}

/// Reads certificate and key, which must both be written; `beside` is where else the table can be shown.
pub(super) fn certificate(
    cert: Option<&At<String>>,
    key: Option<&At<String>>,
    beside: Option<&At<String>>,
    check: &mut Check<'_>,
) -> (Option<NamedFile>, Option<NamedFile>) {
    for (one, other, name) in [(cert, key, "cert"), (key, cert, "key")] {
        if one.is_none() && !check.is_lost(name) {
            let place = other.or(beside).map(At::place).unwrap_or_default();
            let problem = Problem::new(Code::Missing, place, format!("`tls` has no `{name}`"));
            check.add(problem.fix("write tls = { cert = \"proxy.pem\", key = \"proxy.key\" }"));
        }
    }
    let kinds = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let cert = cert.and_then(|at| check.read_pem(at, "the certificate", &["CERTIFICATE"]));
    let read = key.and_then(|at| check.read_pem(at, "the private key", &kinds));
    if let (Some(at), Some(file)) = (key, &read) {
        check.key_is_private(at, &file.path);
    }
    (cert, read)
}

/// Reads the authorities for client certificates.
pub(super) fn client_authority(at: &At<String>, check: &mut Check<'_>) -> Option<NamedFile> {
    check.read_pem(at, "the client authority", &["CERTIFICATE"])
}

/// Checks the listeners.
pub(super) fn listeners(
    proxy: &ProxySection,
    tls: Option<&TlsSettings>,
    access: &Access,
    also_reverse: bool,
    places: &mut Places,
    check: &mut Check<'_>,
) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for at in proxy.listen.items() {
        let Some(addr) = address(at, check) else { continue };
        places.take(addr, Transport::Tcp, By::Proxy, at, check);
        let settings =
            ListenerSettings { name: addr.to_string(), addr, tls: tls.cloned(), auth: access.required };
        listeners.push(Listener { settings, place: at.place() });
    }
    if proxy.listen.items().is_empty() && !also_reverse && !check.is_lost("listen") {
        let problem = Problem::new(Code::Missing, 0..0, "`listen` in [proxy] is empty: nothing would listen");
        check.add(problem.fix("write listen = [\"127.0.0.1:3128\"], or leave the key out"));
    }
    open_proxy(proxy, &listeners, access, check);
    listeners
}

/// One address to listen on.
pub(super) fn address(at: &At<String>, check: &mut Check<'_>) -> Option<SocketAddr> {
    address_text(at.get().trim(), at, check)
}

/// The address in `text`, a part of what was written.
pub(super) fn address_text(text: &str, at: &At<String>, check: &mut Check<'_>) -> Option<SocketAddr> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        if (1..1024).contains(&addr.port()) && check.surroundings.user() != 0 {
            let problem = Problem::new(
                Code::PrivilegedPort,
                at.place(),
                format!("port {} needs a privilege", addr.port()),
            );
            let problem = problem.fix("use a port from 1024 on");
            check.add(
                problem.fix(
                    "or give the capability: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit",
                ),
            );
        }
        return Some(addr);
    }
    let problem = Problem::new(Code::Address, at.place(), format!("`{text}` is not an address to listen on"));
    let port = |port: &str| port.parse::<u16>().is_ok();
    check.add(match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) => {
            problem.label(format!("did you mean `[{text}]:3128`?"))
        }
        _ if text.parse::<IpAddr>().is_ok() => problem.label(format!("did you mean `{text}:3128`?")),
        _ if port(text) => problem.label(format!("did you mean `127.0.0.1:{text}`?")),
        Some(("localhost", number)) if port(number) => {
            problem.label(format!("did you mean `127.0.0.1:{number}`?"))
        }
        Some(("" | "*", number)) if port(number) => problem
            .label(format!("did you mean `127.0.0.1:{number}`?"))
            .fix(format!("for every address of this computer write `0.0.0.0:{number}`")),
        Some((host, number)) if host.parse::<IpAddr>().is_ok() || host.starts_with('[') => {
            problem.label(format!("`{number}` is no port from 0 to 65535"))
        }
        Some(_) | None => problem.label("write ADDRESS:PORT, with an IP address"),
    });
    None
}

/// Whether two addresses cannot be listened on both.
pub(super) fn overlap(one: SocketAddr, two: SocketAddr) -> bool {
    let wide = |addr: SocketAddr, other: SocketAddr| {
        addr.ip().is_unspecified() && (addr.is_ipv6() || other.is_ipv4())
    };
    one.port() == two.port() && one.port() != 0 && (one.ip() == two.ip() || wide(one, two) || wide(two, one))
}

fn open_proxy(proxy: &ProxySection, listeners: &[Listener], access: &Access, check: &mut Check<'_>) {
    let certificates = proxy.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if access.required
        || certificates
        || ["auth", "clients", "client_ca", "tls"].iter().any(|key| check.is_lost(key))
    {
        return;
    }
    let open = |listener: &&Listener| !listener.settings.addr.ip().to_canonical().is_loopback();
    let widest = proxy.clients.items().iter().find(|at| at.get().trim().ends_with("/0"));
    for listener in listeners.iter().filter(open) {
        let addr = listener.settings.addr;
        let why = match widest {
            Some(at) => format!("{addr} has no `auth`, and `clients` has {}, which is everybody", at.get()),
            None if proxy.clients.items().is_empty() => format!("{addr} has neither `auth` nor `clients`"),
            None => continue,
        };
        let problem = Problem::new(
            Code::OpenProxy,
            listener.place.clone(),
            format!("this would be an open proxy: {why}"),
        );
        let loopback = if addr.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        let problem = problem
            .fix("add clients = [\"192.168.1.0/24\"], with your own network")
            .fix("or auth = [\"basic\"]");
        check.add(problem.fix(format!("or listen on {loopback}:{}", addr.port())));
    }
}
