//! Plans of the forward proxy's listeners, with its ways out.
//!
//! Not here: resolver, guard and limits, which others share (`wiring`), what a plan does (`forward`).

use super::{Parts, Surrounded, WiringError, http_limits, limits, read};
use crate::config::Settings;
use crate::config::file::Level as LevelWord;
use crate::config::settings::{ExitScheme, ExitSettings, ListenerSettings, TlsSettings};
use crate::run::listeners::Listening;
use shoalway_forward::outbound::{Direct, ViaHttp, ViaSocks};
use shoalway_forward::{Auth, ForwardPlan, Way};
use shoalway_http::level::Level;
use shoalway_net::dialer::Dialer;
use shoalway_net::limits::Limits;
use shoalway_net::tls_client::{TlsClient, TlsClientConfig};
use shoalway_net::tls_server::TlsServer;
use shoalway_policy::Cidr;
use shoalway_types::Target;
use shoalway_wire::http1;
use shoalway_wire::socks5::Login;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What all listeners of the forward proxy have in common.
pub(super) struct Forward<'a> {
    settings: &'a Settings,
    tls: Option<TlsServer>,
    clients: Vec<Cidr>,
    direct: Way,
    exits: Vec<Way>,
    overlay: Vec<Way>,
    dialer: &'a Dialer,
    limits: Limits,
    http: http1::limits::Limits,
}

impl<'a> Forward<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        parts: &Parts,
        dialer: &'a Dialer,
        from: &Surrounded<'_>,
    ) -> Result<Self, WiringError> {
        let clients = settings.clients.iter().map(|(ip, prefix)| Cidr::new(*ip, *prefix));
        let direct = Direct::new(dialer.clone(), None);
        Ok(Self {
            settings,
            tls: parts.tls_listeners.clone(),
            clients: clients.collect::<Result<_, _>>()?,
            direct: Way { name: "direct".into(), identity: 0, outbound: Arc::new(direct) },
            exits: exits(settings, parts, dialer)?,
            overlay: super::overlay::ways(settings, parts.overlaid.overlay.as_deref()),
            dialer,
            limits: limits(&settings.limits, from.connections),
            http: http_limits(settings),
        })
    }

    /// The plan of one listener, be it one that the forward proxy leaves.
    pub(super) fn plan(&self, listening: &Listening) -> Arc<ForwardPlan> {
        let listener = listening.forward();
        Arc::new(ForwardPlan {
            listener: Arc::clone(&listening.counted.name),
            clients: self.clients.clone(),
            auth: listener.map_or(Auth::None, |listener| auth(self.settings, listener)),
            level: level(self.settings.level),
            rules: Arc::clone(&self.settings.rules),
            direct: self.direct.clone(),
            exits: self.exits.clone(),
            overlay: self.overlay.clone(),
            default_exit: None,
            dialer: self.dialer.clone(),
            limits: self.limits,
            http: self.http,
            tls: self.tls.clone().filter(|_| listener.is_some_and(|listener| listener.tls.is_some())),
        })
    }
}

fn auth(settings: &Settings, listener: &ListenerSettings) -> Auth {
    match &settings.users {
        Some(users) if listener.auth => {
            Auth::Users { users: Arc::clone(users), realm: settings.realm.as_str().into() }
        }
        Some(_) | None => Auth::None,
    }
}

const fn level(word: LevelWord) -> Level {
    match word {
        LevelWord::Transparent => Level::Transparent,
        LevelWord::Anonymous => Level::Anonymous,
        LevelWord::Elite => Level::Elite,
    }
}

fn exits(settings: &Settings, parts: &Parts, dialer: &Dialer) -> Result<Vec<Way>, WiringError> {
    settings.exits.iter().map(|exit| way(exit, parts, dialer)).collect()
}

fn way(exit: &ExitSettings, parts: &Parts, dialer: &Dialer) -> Result<Way, WiringError> {
    let dialer = dialer.clone();
    let proxy = Target::new(exit.host.clone(), exit.port);
    let login = exit.credentials.as_ref().map(|(user, password)| (user.as_str(), password.expose()));
    let name = exit.name.as_str().into();
    let identity = identity(exit);
    let outbound = match exit.scheme {
        ExitScheme::Http => {
            return Ok(Way { name, identity, outbound: Arc::new(ViaHttp::new(dialer, proxy, None, login)) });
        }
        ExitScheme::Https => {
            let way = ViaHttp::new(dialer, proxy, parts.tls_exits.clone(), login);
            return Ok(Way { name, identity, outbound: Arc::new(way) });
        }
        ExitScheme::Socks4a => {
            ViaSocks::socks4a(dialer, proxy, login.map_or("", |(user, _)| user).as_bytes())
        }
        ExitScheme::Socks5 => {
            let bad = |_no_fit| WiringError::Login { name: exit.name.clone() };
            let login = login
                .map(|(user, password)| Login::new(user.as_bytes(), password.as_bytes()))
                .transpose()
                .map_err(bad)?;
            ViaSocks::socks5(dialer, proxy, login)
        }
    };
    Ok(Way { name, identity, outbound: Arc::new(outbound) })
}

/// Differs between exits that differ in anything; never that of the way straight out.
fn identity(exit: &ExitSettings) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&exit.name, exit.scheme, &exit.host, exit.port).hash(&mut hasher);
    exit.credentials.as_ref().map(|(user, password)| (user, password.expose())).hash(&mut hasher);
    hasher.finish() | 1
}

/// TLS of the forward proxy's listeners; none when they are plain.
pub(super) fn tls_server(listeners: &[ListenerSettings]) -> Result<Option<TlsServer>, WiringError> {
    // All listeners of the proxy show the same certificate.
    let Some(tls) = listeners.iter().find_map(|listener| listener.tls.as_ref()) else { return Ok(None) };
    let TlsSettings { cert, key, client_ca } = tls;
    let client_ca = client_ca.as_ref().map(read).transpose()?;
    let alpn: &[&[u8]] = &[b"h2", b"http/1.1"];
    TlsServer::from_pem(&read(cert)?, &read(key)?, client_ca.as_deref(), alpn)
        .map(Some)
        .map_err(WiringError::Certificate)
}

/// TLS towards exits. Trust anchors are read only when an exit needs them.
pub(super) fn tls_client(exits: &[ExitSettings]) -> Result<Option<TlsClient>, WiringError> {
    if !exits.iter().any(|exit| exit.scheme == ExitScheme::Https) {
        return Ok(None);
    }
    TlsClient::new(&TlsClientConfig::default()).map(Some).map_err(WiringError::ExitTls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Secret;
    use shoalway_types::Host;

    #[test]
    fn exits_that_differ_share_no_connections() {
        let exit = |name: &str, port, password: &str| ExitSettings {
            name: name.to_owned(),
            scheme: ExitScheme::Http,
            host: Host::parse("vps.example").unwrap(),
            port,
            credentials: Some(("me".to_owned(), Secret::new(password))),
        };
        let one = identity(&exit("a", 80, "x"));
        assert_eq!(one, identity(&exit("a", 80, "x")));
        for other in [exit("b", 80, "x"), exit("a", 81, "x"), exit("a", 80, "y")] {
            assert_ne!(one, identity(&other));
        }
        assert_ne!(one, 0);
    }
}
