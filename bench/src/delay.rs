//! A relay of TCP that takes its time: every byte arrives later by a fixed delay, in each direction. For the length of a path.
//!
//! Two threads a direction, so that what waits does not keep what follows from being read. Not for bulk, and not here: loss.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::command_line::Flags;

/// Relays until standard input closes: from `--listen` to `--to`, both ports of 127.0.0.1 unless `--to` is an address, each byte
/// later by `--ms` milliseconds.
///
/// # Errors
/// When the port is taken; what goes wrong with one connection ends that one.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let (port, to): (u16, SocketAddrV4) = (flags.value("listen")?, flags.value("to")?);
    let delay = Duration::from_millis(flags.value("ms")?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listen")?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Where nobody listens, the connection is closed: its client sees that.
            drop(connect(client, to, delay));
        }
    });
    writeln!(io::stdout(), "ready")?;
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn connect(client: TcpStream, to: SocketAddrV4, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    carry(client.try_clone()?, server.try_clone()?, delay);
    carry(server, client, delay);
    Ok(())
}

/// What was read, and when it is due.
type Due = (Instant, Vec<u8>);

/// Chunks under way in one direction of a connection.
const UNDER_WAY: usize = 1024;

fn carry(from: TcpStream, to: TcpStream, delay: Duration) {
    let (read, due) = sync_channel(UNDER_WAY);
    thread::spawn(move || receive(from, &read, delay));
    thread::spawn(move || send(to, &due));
}

fn receive(mut from: TcpStream, read: &SyncSender<Due>, delay: Duration) {
    let mut room = vec![0; 64 << 10];
    loop {
        // An end, of either kind, travels like bytes: as an empty chunk.
        let count = from.read(&mut room).unwrap_or(0);
        let chunk = room.get(..count).unwrap_or_default().to_vec();
        if read.send((Instant::now() + delay, chunk)).is_err() || count == 0 {
            return;
        }
    }
}

fn send(mut to: TcpStream, due: &Receiver<Due>) {
    for (at, chunk) in due {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if chunk.is_empty() || to.write_all(&chunk).is_err() {
            // It may be closed already.
            to.shutdown(Shutdown::Write).ok();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_ends_arrive_late_but_they_arrive() {
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let Ok(std::net::SocketAddr::V4(to)) = far.local_addr() else { panic!("IPv4") };
        let near = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let mut client = TcpStream::connect(near.local_addr().expect("bound")).expect("connected");
        let delay = Duration::from_millis(15);
        connect(near.accept().expect("the client").0, to, delay).expect("relayed");
        let (mut server, _) = far.accept().expect("the relay");
        let begin = Instant::now();
        client.write_all(b"there").expect("sent");
        client.shutdown(Shutdown::Write).expect("ended");
        let mut text = String::new();
        server.read_to_string(&mut text).expect("all of it");
        assert_eq!(text, "there");
        assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
        server.write_all(b"back").expect("sent");
        drop(server);
        text.clear();
        client.read_to_string(&mut text).expect("all of it");
        assert_eq!(text, "back");
        assert!(begin.elapsed() >= 2 * delay, "{:?}", begin.elapsed());
    }
}
