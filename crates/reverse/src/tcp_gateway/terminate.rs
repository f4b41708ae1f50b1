//! TLS of clients that ends here, so that the endpoint gets what is inside.
//!
//! ```text
//! PROXY header -> handshake -> endpoint          lazy, preconnect; with defer the first byte inside is awaited before
//!              `-> endpoint ->'                  eager: both at once, and neither is of use without the other
//! ```
//! A header is read from the socket before TLS and never in it (PROXY protocol, section 2). The endpoint's header is written
//! when the handshake is over, since it tells of it. Not here: certificates (`net/certificates`), the other streams
//! (`establish.rs`).

use super::establish::{header, to, within_head};
use super::head::{HeadError, HeadReader};
use super::link::{Link, link};
use super::origin::Origin;
use super::refusal::Refusal;
use super::{Session, TcpGateway};
use crate::proxy_header::{self, NoHeader};
use crate::stream_plan::{AcceptMode, ProxyIn};
use crate::upstream::Upstream;
use rustls::HandshakeKind;
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_net::stream::{Io, Stream};
use shoalway_net::tls::{TlsError, TlsFault};
use shoalway_net::tls_server::TlsServer;
use shoalway_types::Host;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What was agreed with a client. No `Debug`: the name is sensitive.
pub(super) struct TlsFacts {
    /// What it asked for.
    pub(super) name: Option<Host>,
    /// What is spoken inside, where that was agreed: RFC 7301.
    pub(super) alpn: Option<Box<[u8]>>,
    /// As `TLSv1.3`.
    pub(super) version: String,
    /// As `TLS_AES_128_GCM_SHA256`.
    pub(super) cipher: String,
    /// The client has shown a certificate, now or when its session began.
    pub(super) certificate: bool,
    /// The session began on an earlier connection.
    pub(super) resumed: bool,
}

/// Opens the client's connection, and one to an endpoint.
pub(super) async fn terminate(
    gateway: &Rc<TcpGateway>,
    session: &mut Session,
    tls: &TlsServer,
    upstream: &Arc<Upstream>,
) -> Result<Link, Refusal> {
    let plan = &gateway.plan;
    session.deadline.after(plan.limits.head, Wait::Idle);
    // Nobody speaks on a socket that is taken out; it comes back inside its TLS.
    let whole = std::mem::replace(&mut session.stream, Stream::new(Io::Parked(None)));
    let (Io::Tcp(mut tcp), _nothing_read) = whole.into_parts() else { return Err(Refusal::ClientGone) };
    let mut origin = Origin::real(session.facts.client);
    if plan.proxy_in != ProxyIn::Off {
        origin = believed(gateway, session, &mut tcp, &origin).await?;
    }
    let mut link = if plan.accept == AcceptMode::Eager {
        let early = link(
            Rc::clone(gateway),
            Rc::clone(&session.shard),
            Arc::clone(upstream),
            session.facts.client.ip(),
        );
        let both = async { tokio::try_join!(handshake(gateway, &session.deadline, tls, tcp), early) };
        let (opened, link) = Box::pin(both).await.inspect_err(|refusal| {
            if let (Refusal::Tls(_) | Refusal::HeadTimeout, Some(counters)) =
                (refusal, gateway.counters(&session.shard))
            {
                counters.eager_unused.add(1);
            }
        })?;
        session.deadline.clear();
        take(session, &mut origin, opened);
        link
    } else {
        let opened = handshake(gateway, &session.deadline, tls, tcp).await?;
        take(session, &mut origin, opened);
        if plan.accept == AcceptMode::Defer {
            first_byte(session).await?;
        }
        to(gateway, session, upstream).await?
    };
    link.header = Some(header(gateway, session, &origin));
    Ok(link)
}

/// The PROXY header in front of TLS; the client it tells of is the one that counts from here on.
async fn believed(
    gateway: &TcpGateway,
    session: &mut Session,
    tcp: &mut TcpStream,
    real: &Origin,
) -> Result<Origin, Refusal> {
    let mut reading = pin!(proxy_header::read(tcp, |header| Origin::told(header, real)));
    let read = within_head(&session.deadline, |cx| reading.as_mut().poll(cx)).await?;
    let origin = read.map_err(|error| {
        Refusal::from(match error {
            NoHeader::Gone => HeadError::Gone,
            NoHeader::Wrong(error) => HeadError::Proxy(error),
        })
    })?;
    session.facts.client = origin.client;
    if gateway.plan.keeps_rate(origin.client.ip()) { Ok(origin) } else { Err(Refusal::Rate) }
}

async fn handshake(
    gateway: &TcpGateway,
    deadline: &Deadline,
    tls: &TlsServer,
    tcp: TcpStream,
) -> Result<(Stream, TlsFacts), Refusal> {
    // The session's deadline is the one that counts: it came first.
    let until = Instant::now() + gateway.plan.limits.head;
    let mut opening = pin!(tls.accept(tcp, until));
    let stream = within_head(deadline, |cx| opening.as_mut().poll(cx)).await?.map_err(refused)?;
    let inside = stream.get_ref().1;
    let version = inside.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
    let cipher = inside.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let facts = TlsFacts {
        name: inside.server_name().and_then(|name| Host::parse(name).ok()),
        alpn: inside.alpn_protocol().map(Box::from),
        version: version.unwrap_or_default(),
        // TLS 1.3 has its suites in IANA's register without the version.
        cipher: cipher.map(|name| name.replace("TLS13_", "TLS_")).unwrap_or_default(),
        certificate: inside.peer_certificates().is_some(),
        resumed: inside.handshake_kind() == Some(HandshakeKind::Resumed),
    };
    Ok((Stream::new(Io::TlsServer(Box::new(stream))), facts))
}

fn refused(error: TlsError) -> Refusal {
    let late = matches!(error.fault(), TlsFault::Timeout { .. });
    if late { Refusal::HeadTimeout } else { Refusal::Tls(error) }
}

fn take(session: &mut Session, origin: &mut Origin, (stream, facts): (Stream, TlsFacts)) {
    session.stream = stream;
    session.facts.saw_hello(facts.name.clone());
    origin.tls = Some(facts);
}

/// Waits until there is something inside.
async fn first_byte(session: &mut Session) -> Result<(), Refusal> {
    let mut reader = HeadReader::default();
    let Session { shard, stream, deadline, .. } = session;
    within_head(deadline, |cx| reader.poll_any(cx, shard, stream)).await??;
    reader.put_back(stream);
    Ok(())
}
