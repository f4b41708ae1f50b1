//! SOCKS4, SOCKS4a and SOCKS5 (RFC 1928, RFC 1929) for the raw client, written by hand from the RFCs and apart from the
//! product's own reading of them.

use crate::client::RawClient;
use crate::wait::PATIENCE;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// What is asked of a SOCKS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Open a connection.
    Connect = 1,
    /// Wait for one.
    Bind = 2,
    /// Relay datagrams (SOCKS5 alone).
    UdpAssociate = 3,
}

/// A SOCKS reply: its code and the address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocksReply {
    /// SOCKS5: 0 is success. SOCKS4: 90 is success.
    pub code: u8,
    /// BND.ADDR and BND.PORT, or DSTIP and DSTPORT.
    pub bound: SocketAddr,
}

impl RawClient {
    /// Sends a SOCKS5 greeting with these methods and gives the chosen one.
    #[track_caller]
    pub fn socks5_greet(&mut self, methods: &[u8]) -> u8 {
        let count = u8::try_from(methods.len()).expect("at most 255 methods");
        self.send([&[5, count], methods].concat());
        let answer = self.read_exactly(2);
        assert_eq!(answer[0], 5, "version of the method selection");
        answer[1]
    }

    /// Logs in as RFC 1929 says and gives the status; 0 is success.
    #[track_caller]
    pub fn socks5_log_in(&mut self, user: &str, password: &str) -> u8 {
        let mut bytes = vec![1];
        for part in [user, password] {
            bytes.push(u8::try_from(part.len()).expect("at most 255 octets"));
            bytes.extend_from_slice(part.as_bytes());
        }
        self.send(bytes);
        let answer = self.read_exactly(2);
        assert_eq!(answer[0], 1, "version of the sub-negotiation");
        answer[1]
    }

    /// Sends a SOCKS5 request after greeting and log-in, and reads the reply. The target is `host:port`; what is no
    /// address goes as a name.
    #[track_caller]
    pub fn socks5_ask(&mut self, command: Command, target: impl ToString) -> SocksReply {
        let mut bytes = vec![5, command as u8, 0];
        bytes.extend(socks5_address(&target.to_string()));
        self.send(bytes);
        self.socks5_reply()
    }

    /// Reads a SOCKS5 reply; BIND has two of them.
    #[track_caller]
    pub fn socks5_reply(&mut self) -> SocksReply {
        let head = self.read_exactly(4);
        assert_eq!((head[0], head[2]), (5, 0), "version and reserved octet of a reply: {head:?}");
        let ip: IpAddr = match head[3] {
            1 => <[u8; 4]>::try_from(self.read_exactly(4)).expect("4 octets").into(),
            4 => <[u8; 16]>::try_from(self.read_exactly(16)).expect("16 octets").into(),
            other => panic!("address type {other} in a reply"),
        };
        let port = self.read_exactly(2);
        SocksReply { code: head[1], bound: SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])) }
    }

    /// Greets without log-in and asks for a connection.
    #[track_caller]
    pub fn socks5_connect(&mut self, target: impl ToString) -> SocksReply {
        assert_eq!(self.socks5_greet(&[0]), 0, "no log-in needed");
        self.socks5_ask(Command::Connect, target)
    }

    /// Opens a tunnel by SOCKS5, which must succeed.
    #[track_caller]
    #[must_use]
    pub fn socks5_tunnel_to(mut self, target: impl ToString) -> Self {
        assert_eq!(self.socks5_connect(target).code, 0, "SOCKS5 reply");
        self
    }

    /// Asks by SOCKS4 (an address) or SOCKS4a (a name) and reads the reply.
    #[track_caller]
    pub fn socks4_ask(&mut self, command: Command, target: impl ToString, user: &str) -> SocksReply {
        let target = target.to_string();
        let (host, port) = split(&target);
        let mut bytes = vec![4, command as u8];
        bytes.extend(port.to_be_bytes());
        let ip = host.parse::<Ipv4Addr>();
        bytes.extend(ip.as_ref().map_or([0, 0, 0, 7], Ipv4Addr::octets));
        bytes.extend(user.as_bytes());
        bytes.push(0);
        if ip.is_err() {
            bytes.extend(host.as_bytes());
            bytes.push(0);
        }
        self.send(bytes);
        self.socks4_reply()
    }

    /// Reads a SOCKS4 reply; BIND has two of them.
    #[track_caller]
    pub fn socks4_reply(&mut self) -> SocksReply {
        let answer = self.read_exactly(8);
        assert_eq!(answer[0], 0, "version of a SOCKS4 reply");
        let ip = Ipv4Addr::new(answer[4], answer[5], answer[6], answer[7]);
        SocksReply { code: answer[1], bound: (ip, u16::from_be_bytes([answer[2], answer[3]])).into() }
    }

    /// Opens a UDP association, which must succeed.
    #[track_caller]
    #[must_use]
    pub fn socks5_udp(mut self) -> UdpAssociation {
        assert_eq!(self.socks5_greet(&[0]), 0, "no log-in needed");
        self.socks5_udp_logged_in()
    }

    /// Opens a UDP association on a connection that has greeted.
    #[track_caller]
    #[must_use]
    pub fn socks5_udp_logged_in(mut self) -> UdpAssociation {
        let socket = UdpSocket::bind((self.local_addr().ip(), 0)).expect("a UDP socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let reply = self.socks5_ask(Command::UdpAssociate, socket.local_addr().expect("own address"));
        assert_eq!(reply.code, 0, "reply to UDP ASSOCIATE");
        assert_ne!(reply.bound.port(), 0, "a relay has a port");
        UdpAssociation { control: self, socket, relay: reply.bound }
    }
}

/// A client's end of a SOCKS5 UDP association.
#[derive(Debug)]
pub struct UdpAssociation {
    /// The connection that keeps it alive.
    pub control: RawClient,
    /// The client's socket.
    pub socket: UdpSocket,
    /// Where the proxy takes datagrams.
    pub relay: SocketAddr,
}

impl UdpAssociation {
    /// Sends one whole datagram to a target.
    #[track_caller]
    pub fn send(&self, target: impl ToString, payload: &[u8]) {
        self.send_fragment(0, target, payload);
    }

    /// Sends with a FRAG octet: 0 alone, 1 to 127 a fragment, with the high bit the last one.
    #[track_caller]
    pub fn send_fragment(&self, fragment: u8, target: impl ToString, payload: &[u8]) {
        let address = socks5_address(&target.to_string());
        self.send_raw(&[&[0, 0, fragment], &address[..], payload].concat());
    }

    /// Sends bytes as they are to the relay.
    #[track_caller]
    pub fn send_raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.relay).expect("send a datagram");
    }

    /// Receives one datagram: who sent it to the proxy, and what.
    #[track_caller]
    #[must_use]
    pub fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let mut bytes = vec![0; 65_536];
        let (n, from) = self.socket.recv_from(&mut bytes).expect("a datagram in time");
        assert_eq!(from, self.relay, "it comes from the relay");
        bytes.truncate(n);
        let (ip, port): (IpAddr, &[u8]) = match &bytes[..] {
            [0, 0, 0, 1, a, b, c, d, rest @ ..] => (Ipv4Addr::new(*a, *b, *c, *d).into(), rest),
            [0, 0, 0, 4, rest @ ..] => {
                let (ip, rest) = rest.split_first_chunk::<16>().expect("16 octets");
                ((*ip).into(), rest)
            }
            other => panic!("header of a relayed datagram: {:?}", &other[..other.len().min(20)]),
        };
        let [high, low, payload @ ..] = port else { panic!("a relayed datagram without port") };
        (SocketAddr::new(ip, u16::from_be_bytes([*high, *low])), payload.to_vec())
    }
}

/// ATYP, address and port of `host:port`.
#[must_use]
pub fn socks5_address(target: &str) -> Vec<u8> {
    let (host, port) = split(target);
    let mut bytes = match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => [&[1], &ip.octets()[..]].concat(),
        Ok(IpAddr::V6(ip)) => [&[4], &ip.octets()[..]].concat(),
        Err(_) => [&[3, u8::try_from(host.len()).expect("a short name")], host.as_bytes()].concat(),
    };
    bytes.extend(port.to_be_bytes());
    bytes
}

fn split(target: &str) -> (&str, u16) {
    let (host, port) = target.rsplit_once(':').expect("host:port");
    (host, port.parse().expect("a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_become_octets() {
        assert_eq!(socks5_address("127.0.0.1:80"), [1, 127, 0, 0, 1, 0, 80]);
        assert_eq!(socks5_address("a.b:258"), [3, 3, b'a', b'.', b'b', 1, 2]);
        let v6 = socks5_address("[::1]:80");
        assert_eq!((v6[0], v6[16], v6.len()), (4, 1, 19));
    }

    #[test]
    fn a_scripted_server_is_understood() {
        use crate::far::{Step, TcpScript};
        let far = TcpScript::start([
            Step::Expect(vec![5, 2, 0, 2]),
            Step::Send(vec![5, 2]),
            Step::Expect(vec![1, 1, b'u', 2, b'p', b'w']),
            Step::Send(vec![1, 0]),
            Step::Expect([&[5, 1, 0][..], &socks5_address("a.test:80")].concat()),
            Step::Send(vec![5, 0, 0, 1, 10, 0, 0, 1, 0, 9]),
        ]);
        let mut client = RawClient::connect(far.addr());
        assert_eq!(client.socks5_greet(&[0, 2]), 2);
        assert_eq!(client.socks5_log_in("u", "pw"), 0);
        let reply = client.socks5_ask(Command::Connect, "a.test:80");
        assert_eq!((reply.code, reply.bound), (0, "10.0.0.1:9".parse().unwrap()));
        far.assert_played();
    }
}
