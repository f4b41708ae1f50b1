//! UDP sockets, sized and bound: for SOCKS5 UDP ASSOCIATE (RFC 1928 section 7), listeners, and their like.
//!
//! Not here: what the datagrams mean, who may send them, how long an association lives.

use crate::listener::meets;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// What the kernel is asked to queue in each direction: about 340 full datagrams of Ethernet size. The kernel
/// may give less (`net.core.rmem_max`) and counts its own overhead.
pub const QUEUE_BYTES: usize = 512 * 1024;

/// A socket on `local` and a free port, which takes datagrams from anybody. An IPv6 socket takes IPv6 only.
///
/// Must be called inside the runtime that will use the socket.
///
/// # Errors
/// As the system gives them: no descriptors, or `local` is no address of this machine.
pub fn bind_association(local: IpAddr) -> io::Result<UdpSocket> {
    bind(SocketAddr::new(local, 0))
}

/// A socket that exchanges datagrams with `peer` only, from `local` or, without it, from whatever address the
/// system chooses. Errors of the far side (nobody listens) come back as errors of send and receive.
///
/// # Errors
/// As the system gives them: no descriptors, no way to `peer`, or families that differ.
pub fn connected(local: Option<IpAddr>, peer: SocketAddr) -> io::Result<UdpSocket> {
    let any =
        if peer.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = new_socket(SocketAddr::new(local.unwrap_or(any), 0))?;
    socket.connect(&peer.into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket on exactly this address, which takes datagrams from anybody.
///
/// Must be called inside the runtime that will use the socket.
///
/// # Errors
/// As the system gives them: the port is in use, no descriptors.
pub fn bind(at: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(new_socket(at)?.into())
}

/// Opens the sockets of one listening address, one a shard: the kernel keeps each client's datagrams on one of them.
/// Port 0 takes any free port, the same for all.
///
/// # Errors
/// As the system gives them; `AddrInUse` also when another process shares its port by `SO_REUSEPORT`.
pub fn bind_shared(at: SocketAddr, shards: usize) -> io::Result<Vec<std::net::UdpSocket>> {
    bind_shared_beside(at, shards, &[])
}

/// As [`bind_shared`], beside sockets that this process has already; see [`crate::listener::bind_beside`].
///
/// # Errors
/// As those of [`crate::listener::bind_beside`].
pub fn bind_shared_beside(
    at: SocketAddr,
    shards: usize,
    own: &[SocketAddr],
) -> io::Result<Vec<std::net::UdpSocket>> {
    if at.port() != 0 && !own.iter().any(|own| meets(*own, at)) {
        // A second copy of this program could join the group and take half of the clients: ask first.
        drop(new_socket(at)?);
    }
    let first = shared_socket(at)?;
    let at = first.local_addr()?.as_socket().unwrap_or(at);
    let mut sockets = vec![first.into()];
    for _ in 1..shards {
        sockets.push(shared_socket(at)?.into());
    }
    Ok(sockets)
}

fn shared_socket(at: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(at)?;
    socket.set_reuse_port(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn new_socket(at: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(at)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn unbound(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(QUEUE_BYTES)?;
    socket.set_send_buffer_size(QUEUE_BYTES)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_association_hears_anybody_and_a_connected_socket_only_its_peer() {
        let open = bind_association(LOOPBACK).unwrap();
        let stranger = bind_association(LOOPBACK).unwrap();
        let bound = connected(Some(LOOPBACK), open.local_addr().unwrap()).unwrap();
        let mut buf = [0; 16];

        bound.send(b"hello").await.unwrap();
        let (len, from) = open.recv_from(&mut buf).await.unwrap();
        assert_eq!((&buf[..len], from), (&b"hello"[..], bound.local_addr().unwrap()));

        stranger.send_to(b"noise", from).await.unwrap();
        open.send_to(b"answer", from).await.unwrap();
        let len = bound.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"answer");
    }

    #[tokio::test]
    async fn each_association_has_a_port_of_its_own() {
        let (one, two) = (bind_association(LOOPBACK).unwrap(), bind_association(LOOPBACK).unwrap());
        assert_ne!(one.local_addr().unwrap().port(), two.local_addr().unwrap().port());
    }

    #[test]
    fn all_shards_listen_on_one_port_and_nobody_else_does() {
        let sockets = bind_shared(SocketAddr::new(LOOPBACK, 0), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
        let again = bind_shared(sockets[0].local_addr().unwrap(), 1);
        assert_eq!(again.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    }

    #[tokio::test]
    async fn families_do_not_mix() {
        assert!(connected(Some(LOOPBACK), "[::1]:9".parse().unwrap()).is_err());
    }
}
