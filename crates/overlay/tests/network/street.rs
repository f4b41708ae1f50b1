//! The way to a node: a TCP relay that can be cut, closed, opened again, frozen, and that can take its time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The way.
pub(crate) struct Street {
    pub(crate) addr: SocketAddr,
    state: Rc<State>,
}

struct State {
    to: Cell<SocketAddr>,
    delay: Duration,
    listening: RefCell<Option<AbortHandle>>,
    travelling: RefCell<Vec<AbortHandle>>,
    came: Cell<usize>,
    frozen: Cell<bool>,
    thaw: Notify,
}

impl Street {
    /// A way to `to` on which bytes take `delay` in each direction.
    pub(crate) async fn to(to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Rc::new(State {
            to: Cell::new(to),
            delay,
            listening: RefCell::default(),
            travelling: RefCell::default(),
            came: Cell::new(0),
            frozen: Cell::new(false),
            thaw: Notify::new(),
        });
        State::listen(&state, listener);
        Self { addr, state }
    }

    /// Connections that came so far.
    pub(crate) fn came(&self) -> usize {
        self.state.came.get()
    }

    /// Connections that stand.
    pub(crate) fn standing(&self) -> usize {
        self.state.travelling.borrow().iter().filter(|task| !task.is_finished()).count()
    }

    /// Cuts every connection; new ones may come.
    pub(crate) fn cut(&self) {
        self.state.travelling.borrow_mut().drain(..).for_each(|task| task.abort());
    }

    /// Cuts every connection, and refuses new ones: to others the process is gone.
    pub(crate) fn close(&self) {
        if let Some(listening) = self.state.listening.borrow_mut().take() {
            listening.abort();
        }
        self.cut();
    }

    /// Takes connections again.
    pub(crate) async fn open(&self) {
        // The port is free when the task that held it has gone.
        let listener = loop {
            match TcpListener::bind(self.addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        State::listen(&self.state, listener);
    }

    /// New connections lead elsewhere.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        self.state.to.set(to);
    }

    /// Nothing passes any more, and nobody is told.
    pub(crate) fn freeze(&self) {
        self.state.frozen.set(true);
    }
}

impl State {
    fn listen(this: &Rc<Self>, listener: TcpListener) {
        let state = Rc::clone(this);
        let task = tokio::task::spawn_local(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                state.came.set(state.came.get() + 1);
                let travelling = tokio::task::spawn_local(Rc::clone(&state).travel(near));
                state.travelling.borrow_mut().push(travelling.abort_handle());
            }
        });
        *this.listening.borrow_mut() = Some(task.abort_handle());
    }

    async fn travel(self: Rc<Self>, near: TcpStream) {
        let Ok(far) = TcpStream::connect(self.to.get()).await else { return };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        tokio::join!(self.carry(near_read, far_write), self.carry(far_read, near_write));
    }

    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let (mut buffer, mut ended) = (vec![0; 32 << 10], false);
        while !ended || !under_way.is_empty() {
            let due = under_way.front().map(|(due, _)| *due);
            tokio::select! {
                read = from.read(&mut buffer), if !ended && under_way.len() < 64 => {
                    let Ok(count @ 1..) = read else { ended = true; continue };
                    under_way.push_back((Instant::now() + self.delay, buffer[..count].to_vec()));
                }
                () = at(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    while self.frozen.get() {
                        self.thaw.notified().await;
                    }
                    let Some((_, bytes)) = under_way.pop_front() else { continue };
                    if to.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            }
        }
        drop(to.shutdown().await);
    }
}

/// Waits until a moment has come: how long a street is.
async fn at(moment: Instant) {
    drop(tokio::time::timeout_at(moment, std::future::pending::<()>()).await);
}
