//! From a fresh connection to a relay: the order of things, which the accept mode decides. Read first.
//!
//! | Mode | The endpoint is connected to |
//! |---|---|
//! | lazy, preconnect | when it is known where the stream goes: at once without a hello to read |
//! | eager | while the hello is awaited; whoever speaks first decides |
//! | defer | when the client has sent something |
//!
//! Where TLS ends here, its handshake stands for the hello, and what is sent is what is inside.
//!
//! Not here: each of the steps.

use super::head::{HeadReader, Hello};
use super::link::{Link, link};
use super::origin::Origin;
use super::refusal::Refusal;
use super::{Session, TcpGateway, carry, eager, terminate};
use crate::stream_plan::{AcceptMode, ProxyIn, Route};
use crate::upstream::Upstream;
use shoalway_net::deadline::{Deadline, Wait};
use shoalway_types::Host;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One stream, from its accept to its end.
pub(super) async fn run(gateway: Rc<TcpGateway>, mut session: Session) {
    let limits = gateway.plan.limits;
    match Box::pin(establish(&gateway, &mut session)).await {
        Ok(linked) => {
            drop(gateway);
            carry::carry(session, linked, &limits).await;
        }
        Err(refusal) => {
            session.facts.outcome = refusal.word();
            refusal.count(&gateway, &session.shard);
            if refusal.resets() {
                session.stream.reset_on_close();
            }
        }
    }
}

async fn establish(gateway: &Rc<TcpGateway>, session: &mut Session) -> Result<Link, Refusal> {
    let plan = &gateway.plan;
    if let (Some(tls), Route::One(upstream)) = (&plan.tls, &plan.route) {
        return terminate::terminate(gateway, session, tls, upstream).await;
    }
    let mut reader = HeadReader::default();
    let real = Origin::real(session.facts.client);
    let waits = plan.route.reads_hello() || plan.proxy_in != ProxyIn::Off || plan.accept == AcceptMode::Defer;
    if waits {
        session.deadline.after(plan.limits.head, Wait::Idle);
    }
    let origin = match plan.proxy_in {
        ProxyIn::Off => real,
        ProxyIn::From(_) => believed_origin(gateway, session, &mut reader, &real).await?,
    };
    let mut linked = if plan.route.reads_hello() {
        seen(gateway, session, &mut reader, &origin).await?
    } else {
        if plan.accept == AcceptMode::Defer {
            within_head(&session.deadline, |cx| reader.poll_any(cx, &session.shard, &mut session.stream))
                .await?
                .map_err(Refusal::from)?;
        }
        let upstream = plan.route.unseen().ok_or(Refusal::Unrouted)?;
        to(gateway, session, upstream).await?
    };
    reader.put_back(&mut session.stream);
    if linked.header.is_none() {
        linked.header = Some(header(gateway, session, &origin));
    }
    Ok(linked)
}

/// The PROXY header; the client it tells of is the one that counts from here on.
async fn believed_origin(
    gateway: &TcpGateway,
    session: &mut Session,
    reader: &mut HeadReader,
    real: &Origin,
) -> Result<Origin, Refusal> {
    let Session { shard, stream, deadline, facts } = session;
    let origin = within_head(deadline, |cx| reader.poll_origin(cx, shard, stream, real)).await??;
    facts.client = origin.client;
    if gateway.plan.keeps_rate(origin.client.ip()) { Ok(origin) } else { Err(Refusal::Rate) }
}

/// Where the hello says, or, eagerly, where the first word comes from.
async fn seen(
    gateway: &Rc<TcpGateway>,
    session: &mut Session,
    reader: &mut HeadReader,
    origin: &Origin,
) -> Result<Link, Refusal> {
    let plan = &gateway.plan;
    if plan.accept == AcceptMode::Eager
        && let Some(upstream) = plan.route.unseen()
    {
        return eager::eager(gateway, session, reader, origin, upstream).await;
    }
    let hello = {
        let Session { shard, stream, deadline, .. } = &mut *session;
        within_head(deadline, |cx| reader.poll_hello(cx, shard, stream, plan.limits.hello)).await??
    };
    let upstream = route(&plan.route, session, &hello).ok_or(Refusal::Unrouted)?;
    to(gateway, session, upstream).await
}

/// Where a client goes that began like this; what it asked for is noted.
pub(super) fn route<'a>(route: &'a Route, session: &mut Session, hello: &Hello) -> Option<&'a Arc<Upstream>> {
    let Hello::Tls(hello) = hello else { return route.unseen() };
    session.facts.saw_hello(hello.sni.clone().map(Host::Name));
    match route {
        Route::One(upstream) => Some(upstream),
        Route::Sni(map) => map.find(hello),
    }
}

/// Connects to an endpoint of this upstream. The dial has its own deadline; the head's is over.
pub(super) async fn to(
    gateway: &Rc<TcpGateway>,
    session: &Session,
    upstream: &Arc<Upstream>,
) -> Result<Link, Refusal> {
    session.deadline.clear();
    let client = session.facts.client.ip();
    link(Rc::clone(gateway), Rc::clone(&session.shard), Arc::clone(upstream), client).await
}

/// The PROXY header for the endpoint, with what is known by now.
pub(super) fn header(gateway: &TcpGateway, session: &Session, origin: &Origin) -> Vec<u8> {
    let name = match &session.facts.host {
        Some(Host::Name(name)) => Some(name.as_str()),
        Some(Host::Ip(_)) | None => None,
    };
    origin.header(gateway.plan.proxy_out, &session.stream, name, &gateway.dice)
}

/// Polls until it is ready or the head's time is over.
pub(super) async fn within_head<T>(
    deadline: &Deadline,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Refusal> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => deadline.poll(cx).map(|expiry| Err(expiry.into())),
    })
    .await
}
