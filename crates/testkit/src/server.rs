//! A listener on loopback with a thread a connection: the base of the origin and of the plain far sides.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Accepts until dropped; then its open connections are cut, so that no thread outlives a test for long.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    /// Second handles of what the handlers hold; taken away when a handler returns, so that a close is a close.
    open: Mutex<HashMap<usize, TcpStream>>,
}

impl Server {
    /// `handler` gets each connection and its number, counted from 0.
    pub(crate) fn start<H>(handler: H) -> Self
    where
        H: Fn(TcpStream, usize) + Send + Sync + 'static,
    {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    pub(crate) fn start_on<H>(addr: SocketAddr, handler: H) -> Self
    where
        H: Fn(TcpStream, usize) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(addr).expect("listen on loopback");
        let addr = listener.local_addr().expect("address of a listener");
        let shared = Arc::new(Shared::default());
        let (theirs, ours) = (Arc::clone(&shared), listener.try_clone().expect("clone a listener"));
        thread::spawn(move || accept_all(&ours, &theirs, &Arc::new(handler)));
        Self { addr, listener, shared }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Ends every connection that is open now.
    pub(crate) fn cut_connections(&self) {
        for (_, stream) in self.shared.open.lock().expect("open connections").drain() {
            drop(stream.shutdown(Shutdown::Both)); // it may be closed already
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept call on Linux; the descriptor itself is closed by both drops.
        drop(socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both));
        self.cut_connections();
    }
}

fn accept_all<H>(listener: &TcpListener, shared: &Arc<Shared>, handler: &Arc<H>)
where
    H: Fn(TcpStream, usize) + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            shared.open.lock().expect("open connections").insert(number, copy);
        }
        let (handler, open) = (Arc::clone(handler), Open { shared: Arc::clone(shared), number });
        thread::spawn(move || {
            handler(stream, open.number);
            drop(open);
        });
    }
}

/// Forgets the second handle when the handler ends, also by a panic.
struct Open {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Ok(mut open) = self.shared.open.lock() {
            open.remove(&self.number);
        }
    }
}
