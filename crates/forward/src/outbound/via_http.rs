//! Through an HTTP proxy, plain or inside TLS: CONNECT for tunnels, absolute targets for plain requests.
//!
//! RFC 9110 section 9.3.6; Basic credentials as RFC 7617 section 2 has them. Success is a 2xx and nothing before it:
//! what follows its head came from the target. Not here: parsing (`wire/http1`), Digest and other schemes.

use super::hop::{Hop, refused, within};
use shoalway_http::auth::basic_value;
use shoalway_net::connect::{
    Connect, ConnectError, ConnectErrorKind, Connected, LocalFuture, Outbound, PlainHttp, Session,
};
use shoalway_net::dialer::Dialer;
use shoalway_net::shard::Shard;
use shoalway_net::tls_client::TlsClient;
use shoalway_types::Target;
use shoalway_wire::http1::limits::Limits;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::response::ResponseHead;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// Sizes of what a proxy may answer a CONNECT with.
const LIMITS: Limits =
    Limits { head: 16 << 10, fields: 64, target: 16 << 10, chunk_line: 1 << 10, trailers: 16 << 10 };
/// Interim answers to a CONNECT that are waited through.
const MOST_INTERIM: u32 = 8;

/// A way through an HTTP proxy. No `Debug`: it holds credentials.
#[derive(Clone)]
pub struct ViaHttp {
    hop: Arc<Way>,
}

struct Way {
    dialer: Dialer,
    proxy: Target,
    tls: Option<TlsClient>,
    authorization: Option<Box<str>>,
}

impl ViaHttp {
    /// Through `proxy`, with TLS when `tls` is given (its name is then checked), with user and password when given.
    #[must_use]
    pub fn new(dialer: Dialer, proxy: Target, tls: Option<TlsClient>, login: Option<(&str, &str)>) -> Self {
        let authorization = login.map(|(user, password)| basic_value(user, password).into_boxed_str());
        Self { hop: Arc::new(Way { dialer, proxy, tls, authorization }) }
    }
}

impl Outbound for ViaHttp {
    fn on(&self, _shard: &Rc<Shard>) -> Rc<dyn Connect> {
        let to_proxy: Rc<dyn Connect> = Rc::new(ToProxy(Arc::clone(&self.hop)));
        Rc::new(Worker { way: Arc::clone(&self.hop), to_proxy })
    }
}

struct Worker {
    way: Arc<Way>,
    to_proxy: Rc<dyn Connect>,
}

impl Connect for Worker {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(within(session.limit, self.way.tunnel(session)))
    }

    fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp::ToProxy {
            proxy: &self.way.proxy,
            authorization: self.way.authorization.as_deref(),
            connect: &self.to_proxy,
        }
    }
}

/// Connects to the proxy and asks it for nothing.
struct ToProxy(Arc<Way>);

impl Connect for ToProxy {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(within(session.limit, async move {
            let hop = self.0.open(session).await?;
            Ok(Connected::new(hop.stream, hop.addr))
        }))
    }
}

impl Way {
    async fn open(&self, session: &Session) -> Result<Hop, ConnectError> {
        Hop::open(&self.dialer, &self.proxy, self.tls.as_ref(), Instant::now() + session.limit).await
    }

    async fn tunnel(&self, session: &Session) -> Result<Connected, ConnectError> {
        let mut hop = self.open(session).await?;
        hop.send(&request(&session.target, self.authorization.as_deref())).await?;
        read_answer(&mut hop).await?;
        Ok(hop.hand_over())
    }
}

fn request(target: &Target, authorization: Option<&str>) -> Vec<u8> {
    let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(value) = authorization {
        text.push_str("Proxy-Authorization: ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

async fn read_answer(hop: &mut Hop) -> Result<(), ConnectError> {
    let mut head = ResponseHead::new();
    for _ in 0..=MOST_INTERIM {
        head.clear();
        let length = loop {
            match head.parse(&hop.buf, &LIMITS, Method::Connect) {
                Ok(Some(length)) => break length,
                Ok(None) => hop.read().await?,
                Err(refusal) => {
                    let text =
                        format!("the upstream proxy's answer is not valid HTTP: {}", refusal.sentence());
                    return Err(refused(ConnectErrorKind::Proxy, "http_protocol_error", text));
                }
            }
        };
        let view = head.view(&hop.buf);
        let (status, interim) = (view.status(), view.is_interim());
        drop(hop.buf.split_to(length));
        if !interim {
            return judge(status);
        }
    }
    let text = "the upstream proxy sends interim answers without end".to_owned();
    Err(refused(ConnectErrorKind::Proxy, "http_protocol_error", text))
}

fn judge(status: u16) -> Result<(), ConnectError> {
    let (kind, word) = match status {
        200..=299 => return Ok(()),
        407 => {
            tracing::warn!("an upstream proxy refuses our log-in");
            (ConnectErrorKind::ProxyAuth, "proxy_configuration_error")
        }
        504 => (ConnectErrorKind::Timeout, "connection_timeout"),
        _ => (ConnectErrorKind::Proxy, "destination_unavailable"),
    };
    Err(refused(kind, word, format!("the upstream proxy answered with status {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_asked_for_by_name() {
        let target = Target::parse("a.example:443", None).unwrap();
        assert_eq!(request(&target, None), b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
        let text = String::from_utf8(request(&target, Some("Basic eDp5"))).unwrap();
        assert!(text.ends_with("\r\nProxy-Authorization: Basic eDp5\r\n\r\n"));
    }

    #[test]
    fn only_2xx_is_success() {
        for (status, kind) in [
            (200, None),
            (204, None),
            (101, Some(ConnectErrorKind::Proxy)),
            (302, Some(ConnectErrorKind::Proxy)),
            (403, Some(ConnectErrorKind::Proxy)),
            (407, Some(ConnectErrorKind::ProxyAuth)),
            (504, Some(ConnectErrorKind::Timeout)),
        ] {
            assert_eq!(judge(status).err().map(|error| error.kind), kind, "{status}");
        }
    }
}
