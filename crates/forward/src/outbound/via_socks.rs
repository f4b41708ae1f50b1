//! Through a SOCKS4a or SOCKS5 proxy. Names are sent as names, so that its far end resolves them.
//!
//! Not here: the messages (`wire/socks4`, `wire/socks5`), BIND and datagrams through a proxy, SOCKS over TLS.

use super::hop::{Hop, refused, within};
use shoalway_net::connect::{
    Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Outbound, Session,
};
use shoalway_net::dialer::Dialer;
use shoalway_net::shard::Shard;
use shoalway_types::Target;
use shoalway_wire::socks4::client as socks4;
use shoalway_wire::socks5::address::Address;
use shoalway_wire::socks5::client as socks5;
use shoalway_wire::socks5::{Login, Reply};
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// A way through a SOCKS proxy. No `Debug`: it holds credentials.
#[derive(Clone)]
pub struct ViaSocks {
    way: Arc<Way>,
}

struct Way {
    dialer: Dialer,
    proxy: Target,
    speech: Speech,
}

enum Speech {
    Four { user: Box<[u8]> },
    Five { login: Option<Login> },
}

impl ViaSocks {
    /// Through a SOCKS4a proxy; `user` is sent as it is, and mostly ignored.
    #[must_use]
    pub fn socks4a(dialer: Dialer, proxy: Target, user: &[u8]) -> Self {
        Self { way: Arc::new(Way { dialer, proxy, speech: Speech::Four { user: user.into() } }) }
    }

    /// Through a SOCKS5 proxy, with a log-in for one that asks for it.
    #[must_use]
    pub fn socks5(dialer: Dialer, proxy: Target, login: Option<Login>) -> Self {
        Self { way: Arc::new(Way { dialer, proxy, speech: Speech::Five { login } }) }
    }
}

impl Outbound for ViaSocks {
    fn on(&self, _shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(self.clone())
    }
}

impl Connect for ViaSocks {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(within(session.limit, self.way.open(session)))
    }
}

impl Way {
    async fn open(&self, session: &Session) -> Result<Connected, ConnectError> {
        let deadline = Instant::now() + session.limit;
        // What the protocol cannot say is known before anything is opened.
        let mut four = match &self.speech {
            Speech::Four { user } => {
                Some(socks4::ClientHandshake::new(FOUR, &session.target, user).map_err(of_socks4)?)
            }
            Speech::Five { .. } => None,
        };
        let mut hop = Hop::open(&self.dialer, &self.proxy, None, deadline).await?;
        match (&mut four, &self.speech) {
            (Some(machine), _) => speak_four(&mut hop, machine).await?,
            (None, Speech::Five { login }) => speak_five(&mut hop, &session.target, login.clone()).await?,
            (None, Speech::Four { .. }) => {}
        }
        Ok(hop.hand_over())
    }
}

const FOUR: shoalway_wire::socks4::Command = shoalway_wire::socks4::Command::Connect;

async fn speak_four(hop: &mut Hop, machine: &mut socks4::ClientHandshake) -> Result<(), ConnectError> {
    loop {
        match machine.advance(&mut hop.buf).map_err(of_socks4)? {
            socks4::Step::Send(bytes) => hop.send(&bytes).await?,
            socks4::Step::Read => hop.read().await?,
            socks4::Step::Done(_bound) => return Ok(()),
        }
    }
}

async fn speak_five(hop: &mut Hop, target: &Target, login: Option<Login>) -> Result<(), ConnectError> {
    let command = shoalway_wire::socks5::Command::Connect;
    let mut machine = socks5::ClientHandshake::new(command, Address::from(target.clone()), login);
    loop {
        match machine.advance(&mut hop.buf).map_err(of_socks5)? {
            socks5::Step::Send(bytes) => hop.send(&bytes).await?,
            socks5::Step::Read => hop.read().await?,
            socks5::Step::Done(_bound) => return Ok(()),
        }
    }
}

fn of_socks4(error: socks4::ClientError) -> ConnectError {
    let (kind, word) = match error {
        socks4::ClientError::Ipv6 => (ConnectErrorKind::Unreachable, "destination_ip_unroutable"),
        socks4::ClientError::User => (ConnectErrorKind::ProxyAuth, "proxy_configuration_error"),
        socks4::ClientError::Refused { .. } => (ConnectErrorKind::Proxy, "destination_unavailable"),
        _ => (ConnectErrorKind::Proxy, "proxy_internal_error"),
    };
    refused(kind, word, error.to_string())
}

fn of_socks5(error: socks5::ClientError) -> ConnectError {
    let (kind, word) = match error {
        socks5::ClientError::NoMethod | socks5::ClientError::Denied => {
            tracing::warn!("an upstream proxy refuses our log-in");
            (ConnectErrorKind::ProxyAuth, "proxy_configuration_error")
        }
        socks5::ClientError::Refused { code } => of_reply(Reply::from_code(code)),
        _ => (ConnectErrorKind::Proxy, "proxy_internal_error"),
    };
    refused(kind, word, error.to_string())
}

/// What the far end says of the target, in our own terms.
const fn of_reply(reply: Option<Reply>) -> (ConnectErrorKind, &'static str) {
    match reply {
        Some(Reply::NetworkUnreachable | Reply::HostUnreachable) => {
            (ConnectErrorKind::Unreachable, "destination_ip_unroutable")
        }
        Some(Reply::ConnectionRefused) => (ConnectErrorKind::Refused, "connection_refused"),
        Some(Reply::TtlExpired) => (ConnectErrorKind::Timeout, "connection_timeout"),
        Some(
            Reply::Succeeded
            | Reply::GeneralFailure
            | Reply::NotAllowed
            | Reply::CommandNotSupported
            | Reply::AddressTypeNotSupported,
        )
        | None => (ConnectErrorKind::Proxy, "destination_unavailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_far_end_says_is_told_on() {
        use ConnectErrorKind as Kind;
        for (code, kind) in [
            (1, Kind::Proxy),
            (2, Kind::Proxy),
            (3, Kind::Unreachable),
            (4, Kind::Unreachable),
            (5, Kind::Refused),
            (6, Kind::Timeout),
            (7, Kind::Proxy),
            (8, Kind::Proxy),
            (99, Kind::Proxy),
        ] {
            assert_eq!(of_socks5(socks5::ClientError::Refused { code }).kind, kind, "{code}");
        }
        assert_eq!(of_socks5(socks5::ClientError::Denied).kind, Kind::ProxyAuth);
        assert_eq!(of_socks4(socks4::ClientError::Refused { code: 91 }).kind, Kind::Proxy);
        assert_eq!(of_socks4(socks4::ClientError::Ipv6).kind, Kind::Unreachable);
    }
}
