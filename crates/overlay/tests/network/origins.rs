//! Destinations: one that says hello and sends back, and others that are less friendly.

use shoalway_net::stream::Stream;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A destination and what came to it.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    seen: Rc<Seen>,
}

/// What a destination has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Connections that came.
    pub(crate) came: Cell<usize>,
    /// Connections that have ended.
    pub(crate) ended: Cell<usize>,
    /// Bytes that were read or written, as the destination counts them.
    pub(crate) bytes: Cell<usize>,
    /// All that was read.
    pub(crate) text: RefCell<Vec<u8>>,
}

impl Seen {
    pub(crate) fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }
}

impl Origin {
    /// One that does this with each connection.
    pub(crate) async fn new<F: Future<Output = ()> + 'static>(
        serve: impl Fn(TcpStream, Rc<Seen>) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Rc::<Seen>::default();
        let shared = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                shared.came.set(shared.came.get() + 1);
                let (work, seen) = (serve(tcp, Rc::clone(&shared)), Rc::clone(&shared));
                tokio::task::spawn_local(async move {
                    work.await;
                    seen.ended.set(seen.ended.get() + 1);
                });
            }
        });
        Self { addr, seen }
    }

    /// One that says hello and sends back what it gets.
    pub(crate) async fn echo() -> Self {
        Self::new(|mut tcp, seen| async move {
            if tcp.write_all(b"hello\n").await.is_err() {
                return;
            }
            let mut buffer = vec![0; 16 << 10];
            while let Ok(count @ 1..) = tcp.read(&mut buffer).await {
                seen.count(count);
                if tcp.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// One that sends without end as fast as it is read, and counts.
    pub(crate) async fn spring() -> Self {
        Self::new(|mut tcp, seen| async move {
            let bytes = vec![7; 16 << 10];
            while let Ok(count) = tcp.write(&bytes).await {
                seen.count(count);
            }
        })
        .await
    }

    pub(crate) const fn seen(&self) -> &Rc<Seen> {
        &self.seen
    }

    pub(crate) fn target(&self) -> String {
        self.addr.to_string()
    }
}

/// Waits for what must happen soon.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("nothing happens any more")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let mut often = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !holds() {
            often.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Reads the hello of an echo.
pub(crate) async fn hello(stream: &mut Stream) {
    let mut hello = [0; 6];
    soon(stream.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello\n", "the server speaks first");
}

/// Sends a few bytes to an echo and waits for them.
pub(crate) async fn ask(stream: &mut Stream, bytes: &[u8]) {
    soon(stream.write_all(bytes)).await.unwrap();
    let mut back = vec![0; bytes.len()];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, bytes);
}

/// Bytes that are nowhere alike.
pub(crate) fn noise(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Sends all of it to an echo, ends, and reads all of it back.
pub(crate) async fn echo(stream: Stream, bytes: &[u8]) {
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        write.write_all(bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.unwrap();
        back
    };
    let (back, ()) = soon(async { tokio::join!(receiving, sending) }).await;
    assert!(back == bytes, "{} of {} bytes came back", back.len(), bytes.len());
}

/// A clock that stands still, and passes only as it is told: no socket is overtaken by it. Dropped it goes on by itself.
pub(crate) struct Clock(mpsc::Sender<()>);

/// Time passes in steps of this, so that whoever waits for an answer gets it before its time is over.
const STEP: Duration = Duration::from_secs(5);

impl Clock {
    pub(crate) fn stop() -> Self {
        let (hold, held) = mpsc::channel();
        tokio::time::pause();
        // A stopped clock jumps to the next deadline whenever nothing is ready, but not while somebody works elsewhere.
        drop(tokio::task::spawn_blocking(move || held.recv()));
        Self(hold)
    }

    pub(crate) async fn pass(&self, time: Duration) {
        let mut left = time;
        while left > Duration::ZERO {
            let step = left.min(STEP);
            left -= step;
            tokio::time::advance(step).await;
            // What that began has to do with sockets, which take real time.
            tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_millis(2)))
                .await
                .unwrap();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // Whoever held it may have been dropped with the runtime.
        let _gone = self.0.send(());
        tokio::time::resume();
    }
}
