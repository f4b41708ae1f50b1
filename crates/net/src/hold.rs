//! Holds a listening socket's clients off without closing it: their SYNs are dropped, so they try again by themselves.
//!
//! A classic BPF filter that accepts nothing is put on the listener (Linux `socket(7)`, `SO_ATTACH_FILTER`). Connections
//! that exist, and those already in its queue, are sockets of their own and are not touched. A client comes through with
//! its next retransmission after the filter is gone: 1 s after its first SYN, then 3 s, 7 s. Not here: when to hold.

use socket2::{SockFilter, SockRef};
use std::io;
use std::net::TcpListener;

/// Drops every SYN that comes to this listener from now on.
///
/// # Errors
/// As the system says; the socket is then as it was.
pub fn hold(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&[SockFilter::new(RETURN, 0, 0, NOTHING)])
}

/// Lets SYNs through again. A listener that was not held stays as it is.
///
/// # Errors
/// As the system says.
pub fn release(listener: &TcpListener) -> io::Result<()> {
    match SockRef::from(listener).detach_filter() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// `BPF_RET | BPF_K`: how many bytes of the packet are kept.
const RETURN: u16 = 0x06;
const NOTHING: u32 = 0;

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests open their own sockets")]

    use super::*;
    use std::io::ErrorKind;
    use std::net::TcpStream;
    use std::time::Duration;

    #[test]
    fn a_held_client_comes_through_when_it_is_released() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let early = TcpStream::connect(addr).unwrap();
        hold(&listener).unwrap();
        let told = TcpStream::connect_timeout(&addr, Duration::from_millis(50)).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::TimedOut);
        // Its SYN is dropped; the one that the kernel repeats after a second is not.
        let patient = std::thread::spawn(move || TcpStream::connect_timeout(&addr, Duration::from_secs(10)));
        assert_eq!(listener.accept().unwrap().1, early.local_addr().unwrap());
        release(&listener).unwrap();
        release(&listener).unwrap();
        let late = patient.join().unwrap().unwrap();
        assert_eq!(listener.accept().unwrap().1, late.local_addr().unwrap());
    }
}
