//! Listening sockets: one SO_REUSEPORT socket a shard and address, and the loop that accepts on it.
//!
//! Sockets are opened once by the control thread and kept over reloads; only what stands behind them changes.
//! Options are set on the listener, accepted sockets inherit them. Without descriptors accepting pauses, with one
//! warning; what is running goes on. Not here: who is let in (`admission.rs`), what is spoken (the products).

use crate::admission::Admitted;
use crate::shard::{Handoff, Shard};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections the kernel may queue for a socket.
const BACKLOG: i32 = 4_096;
/// Accepted in a row before other tasks have their turn.
const ACCEPT_ROW: u32 = 64;
/// Pause when no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Sent data may stay unacknowledged this long.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Names a listener within this process, over reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// What stands behind a listener on one shard.
pub trait Inbound {
    /// Takes a fresh connection; spawns whatever it needs on the shard.
    fn accept(&self, shard: &Rc<Shard>, accepted: Accepted);
}

/// A fresh connection.
pub struct Accepted {
    /// The socket; nothing was read.
    pub stream: TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
    /// Counts the connection while it lives.
    pub admitted: Admitted,
}

/// Opens the sockets of one address, one a shard. Port 0 takes any free port, the same for all.
///
/// # Errors
/// As the system says; `AddrInUse` also when another process shares its port by SO_REUSEPORT.
pub fn bind(addr: SocketAddr, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    bind_beside(addr, shards, &[])
}

/// As [`bind`], beside sockets that this process has already: `own` are their addresses. So a listener can move from one
/// address of the machine to all of them on the same port, and back, without a moment in which nobody listens; a new
/// connection goes to the socket with the closer address.
///
/// # Errors
/// As the system says; `AddrInUse` also when another process shares its port by SO_REUSEPORT, unless `own` meets `addr`:
/// who else does cannot be seen then.
pub fn bind_beside(
    addr: SocketAddr,
    shards: usize,
    own: &[SocketAddr],
) -> io::Result<Vec<std::net::TcpListener>> {
    if addr.port() != 0 && !own.iter().any(|own| meets(*own, addr)) {
        // A second copy of this program could join the group and take half of the connections: ask first.
        let probe = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        probe.set_reuse_address(true)?;
        only_v6(&probe, addr)?;
        probe.bind(&addr.into())?;
    }
    let first = open(addr)?;
    let addr = first.local_addr()?.as_socket().unwrap_or(addr);
    let mut sockets = vec![first.into()];
    for _ in 1..shards {
        sockets.push(open(addr)?.into());
    }
    Ok(sockets)
}

/// Whether two addresses of one family have connections in common.
pub(crate) fn meets(one: SocketAddr, two: SocketAddr) -> bool {
    let wide = one.ip().is_unspecified() || two.ip().is_unspecified();
    one.port() == two.port() && one.is_ipv4() == two.is_ipv4() && (wide || one.ip() == two.ip())
}

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    only_v6(&socket, addr)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn only_v6(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}

/// One shard's end of a listener.
pub(crate) struct Active {
    inbound: RefCell<Rc<dyn Inbound>>,
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Active {
    pub(crate) fn new(inbound: Rc<dyn Inbound>) -> Rc<Self> {
        Rc::new(Self { inbound: RefCell::new(inbound), stopped: Cell::new(false), waker: RefCell::default() })
    }

    pub(crate) fn set_inbound(&self, inbound: Rc<dyn Inbound>) {
        *self.inbound.borrow_mut() = inbound;
    }

    pub(crate) fn inbound(&self) -> Rc<dyn Inbound> {
        Rc::clone(&self.inbound.borrow())
    }

    /// Accepts what is queued, then closes.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(crate) async fn run(self: Rc<Self>, id: ListenerId, shard: Rc<Shard>, listener: TcpListener) {
        loop {
            match poll_fn(|cx| self.poll_row(cx, id, &shard, &listener)).await {
                Row::More => {}
                Row::Stopped => {
                    self.accept_rest(id, &shard, listener);
                    return shard.forget_listener(id, &self);
                }
                Row::NoDescriptors => {
                    shard.counters().accept_pauses.add(1);
                    if shard.fleet().may_warn_of_descriptors() {
                        tracing::warn!("no file descriptors left: accepting pauses until some are free");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn poll_row(
        &self,
        cx: &mut Context<'_>,
        id: ListenerId,
        shard: &Rc<Shard>,
        listener: &TcpListener,
    ) -> Poll<Row> {
        for _ in 0..ACCEPT_ROW {
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => self.admit(id, shard, stream, peer),
                Poll::Ready(Err(error)) if is_exhausted(&error) => return Poll::Ready(Row::NoDescriptors),
                // A connection that broke while it was queued: the next one.
                Poll::Ready(Err(_)) => {}
                Poll::Pending if self.stopped.get() => return Poll::Ready(Row::Stopped),
                Poll::Pending => {
                    *self.waker.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Row::More)
    }

    /// Accepts what the kernel has queued and the runtime has not told of yet, then closes.
    fn accept_rest(&self, id: ListenerId, shard: &Rc<Shard>, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        self.admit(id, shard, stream, peer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // The queue is empty, or there is no descriptor for more.
                Err(_) => return,
            }
        }
    }

    fn admit(&self, id: ListenerId, shard: &Rc<Shard>, stream: TcpStream, peer: SocketAddr) {
        // The others close the same listener at this moment, so nothing is moved to them any more.
        let to = if self.stopped.get() { None } else { shard.less_loaded() };
        let Some(to) = to else { return self.serve(id, shard, stream, peer) };
        let Ok(socket) = stream.into_std() else { return };
        shard.counters().moved.add(1);
        // A full mailbox gives the connection back: it is served here then.
        if let Err(handoff) = shard.hand_over(to, Handoff { listener: id, socket, peer })
            && let Ok(stream) = TcpStream::from_std(handoff.socket)
        {
            self.serve(id, shard, stream, peer);
        }
    }

    pub(crate) fn serve(&self, id: ListenerId, shard: &Rc<Shard>, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Some(admitted) = shard.admit(id, peer.ip()) {
            self.inbound().accept(shard, Accepted { stream, peer, admitted });
        }
    }
}

enum Row {
    More,
    Stopped,
    NoDescriptors,
}

fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS, rustix::io::Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_get_the_same_port() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn a_port_that_another_listener_shares_counts_as_taken() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let again = bind(sockets[0].local_addr().unwrap(), 2);
        assert_eq!(again.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }

    /// Gives away each connection it is handed.
    struct Gives(tokio::sync::mpsc::Sender<Accepted>);

    impl Inbound for Gives {
        fn accept(&self, _shard: &Rc<Shard>, accepted: Accepted) {
            assert!(self.0.try_send(accepted).is_ok());
        }
    }

    #[test]
    fn a_listener_that_goes_takes_what_is_queued_before_it_closes() {
        Shard::test_in_real_time(async |shard| {
            let socket = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
            let addr = socket.local_addr().unwrap();
            #[expect(clippy::disallowed_methods, reason = "the client of the test")]
            let connect = || std::net::TcpStream::connect(addr);
            let _client = connect().unwrap();
            let (give, mut given) = tokio::sync::mpsc::channel(1);
            let id = ListenerId(1);
            shard.listen(id, socket, Default::default(), Rc::new(Gives(give))).unwrap();
            shard.unlisten(id);
            assert!(given.recv().await.is_some(), "the connection that was queued");
            assert!(given.recv().await.is_none(), "the listener is gone");
            assert_eq!(connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn a_listener_moves_to_all_addresses_and_back_beside_itself() {
        let first = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let near = first[0].local_addr().unwrap();
        let wide = SocketAddr::new("0.0.0.0".parse().unwrap(), near.port());
        let taken = bind(wide, 2).err().map(|error| error.kind());
        assert_eq!(taken, Some(io::ErrorKind::AddrInUse));
        let second = bind_beside(wide, 2, &[near]).unwrap();
        drop(first);
        assert_eq!(bind_beside(near, 2, &[wide]).unwrap().len(), 2);
        let stranger = SocketAddr::new("127.0.0.2".parse().unwrap(), near.port());
        assert_eq!(bind_beside(near, 2, &[stranger]).err().map(|e| e.kind()), Some(io::ErrorKind::AddrInUse));
        drop(second);
    }
}
