//! A name server of a few lines on loopback: UDP, TCP, TLS and HTTPS, with answers made by hand (RFC 1035 section 4).
//!
//! It runs on threads of its own and with blocking sockets, so that no test's clock touches it.

use super::https;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Udp,
    Tcp,
    Tls,
    Https,
}

/// What was asked: the name in lower case without its final dot, the record type (1 is A, 28 is AAAA).
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) way: Way,
}

/// What to say.
pub(crate) enum Say {
    /// These addresses with this TTL; those of the other family are left out.
    Addresses(Vec<IpAddr>, u32),
    /// An alias with its TTL, and the addresses of what it leads to.
    Alias(u32, &'static str, Vec<IpAddr>, u32),
    /// Places of a service: priority, weight, port, target; and their TTL.
    Services(Vec<(u16, u16, u16, &'static str)>, u32),
    /// This response code, with an SOA whose negative TTL is this.
    Code(u8, u32),
    /// No answer fits: ask over TCP.
    Truncated,
    /// Nothing at all.
    Silence,
}

pub(crate) type Answers = dyn Fn(&Question) -> Say + Send + Sync;

pub(crate) struct DnsServer {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl DnsServer {
    /// UDP and TCP on one port.
    pub(crate) fn start(answers: impl Fn(&Question) -> Say + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let addr = udp.local_addr().unwrap();
        let asked = Arc::default();
        let desk = Desk { asked: Arc::clone(&asked), answers: Arc::new(answers) };
        let udp_desk = desk.clone();
        thread::spawn(move || serve_udp(&udp, &udp_desk));
        thread::spawn(move || {
            serve_streams(&tcp, &desk, Way::Tcp, Some);
        });
        Self { addr, asked }
    }

    /// DNS over TLS, or over HTTPS where that is the protocol the configuration agrees to.
    pub(crate) fn start_tls(
        config: ServerConfig,
        answers: impl Fn(&Question) -> Say + Send + Sync + 'static,
    ) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let asked = Arc::default();
        let desk = Desk { asked: Arc::clone(&asked), answers: Arc::new(answers) };
        let way = if config.alpn_protocols == [b"h2"] { Way::Https } else { Way::Tls };
        let config = Arc::new(config);
        thread::spawn(move || {
            serve_streams(&tcp, &desk, way, move |stream| {
                Some(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).ok()?, stream))
            });
        });
        Self { addr, asked }
    }

    /// The questions so far.
    pub(crate) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct Desk {
    asked: Arc<Mutex<Vec<Question>>>,
    answers: Arc<Answers>,
}

impl Desk {
    /// The answer to one message, or nothing.
    pub(crate) fn reply(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let (question, end) = read_question(message, way)?;
        self.asked.lock().unwrap().push(question.clone());
        let say = (self.answers)(&question);
        write_reply(message, end, question.kind, say)
    }
}

fn serve_udp(socket: &UdpSocket, desk: &Desk) {
    let mut buf = [0; 2_048];
    while let Ok((len, from)) = socket.recv_from(&mut buf) {
        if let Some(reply) = desk.reply(&buf[..len], Way::Udp) {
            let _sent = socket.send_to(&reply, from);
        }
    }
}

fn serve_streams<S: Read + Write + Send + 'static>(
    listener: &TcpListener,
    desk: &Desk,
    way: Way,
    wrap: impl Fn(std::net::TcpStream) -> Option<S>,
) {
    for stream in listener.incoming().map_while(Result::ok) {
        let (Some(mut stream), desk) = (wrap(stream), desk.clone()) else { continue };
        thread::spawn(move || match way {
            Way::Https => drop(https::serve(&mut stream, &desk)),
            Way::Udp | Way::Tcp | Way::Tls => while serve_one(&mut stream, &desk, way).is_ok() {},
        });
    }
}

/// Two octets of length, then the message: RFC 1035 section 4.2.2.
fn serve_one(stream: &mut (impl Read + Write), desk: &Desk, way: Way) -> io::Result<()> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    if let Some(reply) = desk.reply(&message, way) {
        let mut framed = u16::try_from(reply.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed)?;
        stream.flush()?;
    }
    Ok(())
}

fn read_question(message: &[u8], way: Way) -> Option<(Question, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let len = usize::from(*message.get(at)?);
        if len == 0 {
            break;
        }
        labels.push(String::from_utf8(message.get(at + 1..at + 1 + len)?.to_vec()).ok()?.to_lowercase());
        at += len + 1;
    }
    let kind = u16::from_be_bytes([*message.get(at + 1)?, *message.get(at + 2)?]);
    Some((Question { name: labels.join("."), kind, way }, at + 5))
}

fn write_reply(message: &[u8], end: usize, kind: u16, say: Say) -> Option<Vec<u8>> {
    let (mut answers, mut authority, mut code, mut truncated) = (Vec::new(), Vec::new(), 0, 0);
    match say {
        Say::Addresses(ips, ttl) => answers.extend(addresses(&[0xc0, 12], kind, &ips, ttl)),
        Say::Alias(alias_ttl, to, ips, ttl) => {
            let to = wire_name(to);
            answers.push(record(&[0xc0, 12], 5, alias_ttl, &to));
            answers.extend(addresses(&to, kind, &ips, ttl));
        }
        Say::Services(list, ttl) => {
            for (priority, weight, port, target) in list {
                let mut data: Vec<u8> =
                    [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
                data.extend(if target == "." { vec![0] } else { wire_name(target) });
                answers.push(record(&[0xc0, 12], 33, ttl, &data));
            }
        }
        Say::Code(wanted, ttl) => {
            code = wanted;
            let mut soa = [wire_name("ns.example"), wire_name("admin.example")].concat();
            for number in [1_u32, 3_600, 600, 86_400, ttl] {
                soa.extend(number.to_be_bytes());
            }
            authority.push(record(&wire_name("example"), 6, ttl, &soa));
        }
        Say::Truncated => truncated = 2,
        Say::Silence => return None,
    }
    let mut reply = message.get(..2)?.to_vec();
    reply.extend([0x81 | truncated, 0x80 | code, 0, 1]);
    reply.extend(u16::try_from(answers.len()).ok()?.to_be_bytes());
    reply.extend(u16::try_from(authority.len()).ok()?.to_be_bytes());
    reply.extend([0, 0]);
    reply.extend(message.get(12..end)?);
    reply.extend(answers.concat());
    reply.extend(authority.concat());
    Some(reply)
}

fn addresses(name: &[u8], kind: u16, ips: &[IpAddr], ttl: u32) -> Vec<Vec<u8>> {
    let of_kind = ips.iter().filter(|ip| ip.is_ipv4() == (kind == 1));
    of_kind
        .map(|ip| match ip {
            IpAddr::V4(ip) => record(name, 1, ttl, &ip.octets()),
            IpAddr::V6(ip) => record(name, 28, ttl, &ip.octets()),
        })
        .collect()
}

fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = name.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire: Vec<u8> = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}
