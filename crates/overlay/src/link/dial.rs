//! Opens a link to an entry or to another node: TCP, TLS, the visit, the opener, ACCEPT (section 4).
//!
//! To whoever watches, a browser came to the site. Before ACCEPT is proven nothing of the overlay is sent but the
//! opener, which says nothing to anybody without the node's key. Not here: which entry, when again (`client`), the
//! trunks of a node (`node`).

use crate::time;
use bytes::Bytes;
use rand_core::CryptoRng;
use shoalway_http::h2::duplex::{Carrier, Duplex, DuplexError};
use shoalway_http::h2::{Tunnel, TunnelError, Visit};
use shoalway_net::dialer::{DialError, Dialer};
use shoalway_net::shard::Shard;
use shoalway_net::tls_client::{LinkTls, LinkTlsError, dial_link};
use shoalway_overlay_proto::descriptor::{BindingKind, Endpoint};
use shoalway_overlay_proto::identity::ed25519;
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::session::Session;
use shoalway_overlay_proto::link::terms::{Kind, LinkConfig, LinkEvent, Role};
use shoalway_overlay_proto::opener::{
    Accept, AcceptFault, Binding, EXPORTER_LABEL, EntryKey, LinkSecrets, NodeAuth, OpenerAsk, Purpose,
    seal_opener,
};
use shoalway_types::Host;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// The label of a node's signature on a link, in front of its first zero byte.
pub(crate) const NODE_LABEL: &str = "ovl1 node";
/// What a cover page may have; the rest is not read.
const PAGE: usize = 512 << 10;

/// What a browser says with a page, beside the pseudo fields.
const PAGE_FIELDS: [(&str, &[u8]); 4] = [
    ("accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", b"en-US,en;q=0.9"),
    ("accept-encoding", b"gzip, deflate, br, zstd"),
    ("user-agent", USER_AGENT),
];
/// The browser that the visit looks like; the whole of its face comes with the camouflage.
const USER_AGENT: &[u8] =
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36";

/// How links are opened: the same for all of a process.
#[derive(Clone)]
pub struct Dialing {
    /// Opens the connection; endpoints are addresses, so nothing is resolved.
    pub dialer: Dialer,
    /// TLS of links.
    pub tls: LinkTls,
    /// How long each step may take.
    pub patience: Duration,
}

/// Whom a link is opened to, and for what.
pub struct Ask<'a> {
    /// Keys of the node.
    pub to: &'a EntryKey,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// What the opener says.
    pub opener: OpenerAsk<'a>,
    /// A trunk: who we are.
    pub node: Option<NodeSelf<'a>>,
    /// Whether the site is looked at first, as a visitor does.
    pub visit: bool,
}

/// The dialling node.
pub struct NodeSelf<'a> {
    /// Its delegation.
    pub delegation: &'a [u8; 143],
    /// Its key.
    pub key: &'a ed25519::SecretKey,
}

/// A link that stands, with nobody to drive it yet.
pub struct Opened {
    /// Its machine.
    pub link: Link,
    /// Its stream.
    pub duplex: Duplex,
    /// Tells when its connection leaves.
    pub carrier: Carrier,
    /// What the other side said.
    pub accept: Accept,
    /// What both know now.
    pub secrets: LinkSecrets,
    /// The connection: more requests may be made on it.
    pub visit: Visit,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum DialFault {
    /// No connection.
    #[error("cannot connect to the entry: {0}")]
    Connect(#[source] DialError),
    /// TLS failed, or it is no TLS 1.3 with HTTP/2.
    #[error("TLS with the entry failed: {0}")]
    Tls(#[source] LinkTlsError),
    /// The connection gives no keying material to bind to.
    #[error("the connection to the entry cannot be bound to")]
    Unbound,
    /// The endpoint is behind a front, which this release does not speak through.
    #[error("the entry is behind a front, which is not supported yet")]
    Front,
    /// The site answered as a site: the opener was not accepted.
    #[error("O103: the entry did not accept us: it answered like the site it serves (status {status})")]
    NotAccepted {
        /// Its answer.
        status: u16,
    },
    /// Who answered does not hold the entry's key.
    #[error("O104: the entry did not prove its key; is somebody intercepting the connection?")]
    Unproven,
    /// HTTP/2 failed.
    #[error("the visit to the entry failed: {0}")]
    Visit(#[source] TunnelError),
    /// The tunnel broke before it stood, or what came is not the protocol.
    #[error("the entry broke the protocol")]
    Broken,
    /// It did not go on in time.
    #[error("the entry did not answer within {0:?}")]
    Late(Duration),
    /// The entry's key is not usable.
    #[error("the entry's key is not usable")]
    Key,
}

impl DialFault {
    /// Whether the entry answered, and not as the entry we know.
    #[must_use]
    pub const fn turned_away(&self) -> bool {
        matches!(self, Self::NotAccepted { .. } | Self::Unproven)
    }

    /// Whether nobody listens at the entry's address.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Connect(DialError::Connect(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    }
}

/// Opens a link. `session` is what goes on, if something does; when it comes back in the error's place it is lost.
///
/// # Errors
/// [`DialFault`]
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn open(
    shard: &Rc<Shard>,
    how: &Dialing,
    ask: &Ask<'_>,
    rng: &mut dyn CryptoRng,
) -> Result<Opened, DialFault> {
    open_after(shard, how, ask, &|| None, rng).await
}

/// As [`open`], with what a session has received asked for when the opener is sealed: a link that is to go on here may
/// receive until then, and not after.
///
/// # Errors
/// [`DialFault`]
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn open_after(
    shard: &Rc<Shard>,
    how: &Dialing,
    ask: &Ask<'_>,
    received: &dyn Fn() -> Option<u64>,
    rng: &mut dyn CryptoRng,
) -> Result<Opened, DialFault> {
    if ask.endpoint.binding != BindingKind::Exporter {
        return Err(DialFault::Front);
    }
    let deadline = Instant::now() + how.patience;
    let tcp =
        how.dialer.dial_socket(ask.endpoint.address, deadline).await.map_err(DialFault::Connect)?.stream;
    let sni = Host::parse(&ask.endpoint.sni).map_err(|_checked_before| DialFault::Broken)?;
    let stream = dial_link(&how.tls, &sni, tcp, deadline).await.map_err(DialFault::Tls)?;
    let exported = stream.exporter(EXPORTER_LABEL.as_bytes()).ok_or(DialFault::Unbound)?;
    let mut visit = Visit::begin(shard, stream, &authority(ask.endpoint), how.patience)
        .await
        .map_err(DialFault::Visit)?;
    if ask.visit {
        // Whatever the page is, it was looked at.
        drop(visit.get("/", &PAGE_FIELDS, PAGE).await.map_err(DialFault::Visit)?);
    }
    let binding = Binding::Exporter(exported);
    let opener = told(&ask.opener, received());
    let (opener, secrets) =
        seal_opener(ask.to, &binding, &opener, rng).map_err(|_unusable| DialFault::Key)?;
    let tunnel = ask_for_tunnel(&mut visit, ask.endpoint, &opener, how.patience).await?;
    let kind = if ask.node.is_some() { Kind::Trunk } else { Kind::Client };
    let link = Link::new(LinkConfig::new(Role::Dialer, kind), time::moment(), rng);
    let Tunnel { mut duplex, carrier } = tunnel;
    let waited = tokio::time::timeout(how.patience, accepted(link, &mut duplex, &secrets)).await;
    let (link, accept) = waited.map_err(|_late| DialFault::Late(how.patience))??;
    Ok(Opened { link, duplex, carrier, accept, secrets, visit })
}

/// Opens the machine, now that ACCEPT was proven.
///
/// # Errors
/// [`DialFault::Broken`]
pub fn begin(
    opened: &mut Opened,
    session: Option<Session>,
    node: Option<NodeSelf<'_>>,
) -> Result<(), DialFault> {
    if let Some(session) = session {
        opened.link.attach(session, opened.accept.received).map_err(|_count| DialFault::Broken)?;
    }
    let auth = node.map(|node| {
        let bytes = opened.secrets.node_auth_bytes();
        let message = bytes.get(NODE_LABEL.len() + 1..).unwrap_or_default();
        let sig = node.key.sign(NODE_LABEL, message);
        Bytes::from(NodeAuth { delegation: *node.delegation, sig }.encode())
    });
    opened.link.open(opened.accept.terms, auth, time::moment()).map_err(|_fault| DialFault::Broken)
}

/// What an opener says, with another count of what was received.
const fn told<'a>(ask: &OpenerAsk<'a>, count: Option<u64>) -> OpenerAsk<'a> {
    let purpose = match (&ask.purpose, count) {
        (Purpose::New, _) => Purpose::New,
        (Purpose::Node, _) => Purpose::Node,
        (Purpose::Resume { key, received: _ }, Some(received)) => Purpose::Resume { key, received },
        (Purpose::Resume { key, received }, None) => Purpose::Resume { key, received: *received },
    };
    OpenerAsk { purpose, session: ask.session, time: ask.time, token: ask.token }
}

async fn ask_for_tunnel(
    visit: &mut Visit,
    endpoint: &Endpoint,
    opener: &str,
    patience: Duration,
) -> Result<Tunnel, DialFault> {
    let cookie = format!("{}={opener}", endpoint.cookie);
    let origin = format!("https://{}", authority(endpoint));
    let fields: [(&str, &[u8]); 8] = [
        ("pragma", b"no-cache"),
        ("cache-control", b"no-cache"),
        ("user-agent", USER_AGENT),
        ("origin", origin.as_bytes()),
        ("sec-websocket-version", b"13"),
        ("accept-encoding", b"gzip, deflate, br, zstd"),
        ("accept-language", b"en-US,en;q=0.9"),
        ("cookie", cookie.as_bytes()),
    ];
    match visit.open_tunnel(&endpoint.path, &fields).await {
        Ok(tunnel) => Ok(tunnel),
        Err(TunnelError::Refused(refusal)) => {
            let status = refusal.status;
            // A visitor reads what it is told, but not for ever: the answer may be one that never ends.
            drop(tokio::time::timeout(patience, refusal.read(PAGE)).await);
            Err(DialFault::NotAccepted { status })
        }
        Err(error) => Err(DialFault::Visit(error)),
    }
}

/// Reads until ACCEPT, and checks it.
async fn accepted(
    mut link: Link,
    duplex: &mut Duplex,
    secrets: &LinkSecrets,
) -> Result<(Link, Accept), DialFault> {
    loop {
        let chunk = match duplex.receiving().chunk().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(DuplexError::Reset(_) | DuplexError::Gone | DuplexError::NoRoom)) | None => {
                return Err(DialFault::Broken);
            }
        };
        duplex.receiving().release(chunk.len());
        link.receive(chunk, time::moment()).map_err(|_fault| DialFault::Broken)?;
        if let Some(LinkEvent::Accept(body)) = link.next_event() {
            let accept = Accept::check(&body, secrets).map_err(|fault| match fault {
                AcceptFault::Unproven => DialFault::Unproven,
                AcceptFault::Malformed(_) => DialFault::Broken,
            })?;
            return Ok((link, accept));
        }
    }
}

/// `:authority` as a browser writes it.
fn authority(endpoint: &Endpoint) -> String {
    match endpoint.address.port() {
        443 => endpoint.sni.clone(),
        port => format!("{}:{port}", endpoint.sni),
    }
}
