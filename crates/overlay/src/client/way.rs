//! The overlay as a way out of the forward proxy.
//!
//! On the home shard a flow's stream is handed over as it is; on others it is the near end of a pipe whose far end is
//! relayed there. A failure is told as what it was, and nothing is ever connected another way. Not here: choosing and
//! opening (`home`).

use super::home::{Home, Wanted};
use super::plan::Shared;
use shoalway_net::connect::{
    Connect, ConnectError, ConnectErrorKind, Connected, Isolation, LocalFuture, Outbound, Session,
};
use shoalway_net::pipe;
use shoalway_net::relay::relay;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_overlay_proto::path::ExitWish;
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::Target;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Streams without bytes end at the exit after 15 minutes; the pipe waits a little longer.
const PIPE_IDLE: Duration = Duration::from_secs(16 * 60);

/// The way, for exits of one wish.
pub struct OverlayWay {
    shared: Arc<Shared>,
    wish: ExitWish,
}

impl OverlayWay {
    pub(super) const fn new(shared: Arc<Shared>, wish: ExitWish) -> Self {
        Self { shared, wish }
    }
}

impl Outbound for OverlayWay {
    fn on(&self, shard: &Rc<Shard>) -> Rc<dyn Connect> {
        Rc::new(Worker { shared: Arc::clone(&self.shared), wish: self.wish.clone(), shard: Rc::clone(shard) })
    }
}

struct Worker {
    shared: Arc<Shared>,
    wish: ExitWish,
    shard: Rc<Shard>,
}

impl Connect for Worker {
    fn connect<'a>(&'a self, session: &'a Session) -> LocalFuture<'a, Result<Connected, ConnectError>> {
        Box::pin(async move {
            let stream = tokio::time::timeout(session.limit, self.stream(session));
            let stream = stream.await.map_err(|_late| ConnectError::timeout(session.limit))??;
            Ok(Connected::new(stream, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
        })
    }

    fn shares(&self, isolation: &Isolation) -> Option<u64> {
        if self.shared.plan.spread == Spread::Request {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        isolation.hash(&mut hasher);
        Some(hasher.finish())
    }
}

impl Worker {
    async fn stream(&self, session: &Session) -> Result<Stream, ConnectError> {
        let wanted = Wanted::new(&self.wish, &session.isolation, &session.target);
        if self.shard.id() == self.shared.plan.home {
            let home = Home::of(&self.shard, &self.shared);
            return Ok(Stream::other(home.open(&wanted).await?));
        }
        let (tell, told) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let near = pipe::across(&self.shard, self.shared.plan.home, move |shard, far| {
            let shard = Rc::clone(shard);
            let tasks = shard.tasks().clone();
            tasks.spawn(async move { serve(shard, &shared, wanted, far, tell).await });
        });
        let near = near.map_err(|_busy| busy())?;
        told.await.unwrap_or_else(|_gone| Err(busy()))?;
        Ok(Stream::other(near))
    }
}

/// On the home shard: opens the stream, says so, and relays.
async fn serve(
    shard: Rc<Shard>,
    shared: &Arc<Shared>,
    wanted: Wanted,
    far: pipe::End,
    mut tell: oneshot::Sender<Result<(), ConnectError>>,
) {
    let home = Home::of(&shard, shared);
    let opened = tokio::select! {
        opened = home.open(&wanted) => opened,
        // Whoever wanted it has given up.
        () = tell.closed() => return,
    };
    match opened {
        Err(error) => drop(tell.send(Err(error))),
        Ok(flow) => {
            if tell.send(Ok(())).is_err() {
                return;
            }
            let deadline = shard.deadline();
            let work = relay(&shard, Stream::other(far), Stream::other(flow), &deadline, PIPE_IDLE);
            Box::pin(work).await;
        }
    }
}

fn busy() -> ConnectError {
    let detail = "the overlay takes no more flows at the moment";
    ConnectError::new(ConnectErrorKind::Local, "connection_limit_reached", detail)
}

/// A target and what it is kept apart by, as they go from one shard to another.
impl Wanted {
    /// A flow to `target` through exits of this wish, kept apart by `isolation`.
    #[must_use]
    pub fn new(wish: &ExitWish, isolation: &Isolation, target: &Target) -> Self {
        Self {
            wish: wish.clone(),
            listener: isolation.listener.as_deref().unwrap_or_default().to_owned(),
            user: isolation.user.as_deref().unwrap_or_default().to_vec(),
            password: isolation.password.as_deref().unwrap_or_default().to_vec(),
            target: target.clone(),
        }
    }
}
