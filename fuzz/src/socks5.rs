//! SOCKS5 in both roles. The first byte of the input chooses the situation, the rest is what the peer says.

use crate::cut::{Said, same_at_every_cut};
use bytes::BytesMut;
use shoalway_types::Failure as _;
use shoalway_wire::socks5::address::Address;
use shoalway_wire::socks5::client::{self, ClientHandshake};
use shoalway_wire::socks5::server::{self, Offered, Request, ServerHandshake};
use shoalway_wire::socks5::{Command, Login};

/// A client against our server. The first byte: what is offered (remainder by 3), whether log-ins are good (from 128).
pub fn socks5_server(data: &[u8]) {
    let Some((&choice, said)) = data.split_first() else { return };
    let offered = match choice % 3 {
        0 => Offered::None,
        1 => Offered::Password,
        _ => Offered::Either,
    };
    same_at_every_cut(said, || {
        let mut handshake = ServerHandshake::new(offered);
        move |buf: &mut BytesMut| match handshake.advance(buf) {
            Ok(server::Step::Read) => Said::Read,
            Ok(server::Step::Send(bytes)) => Said::Step(format!("send {bytes:?}")),
            Ok(server::Step::Verify(login)) => {
                handshake.verified(choice >= 128);
                Said::Step(format!("verify {:?} {:?}", login.user(), login.password()))
            }
            Ok(server::Step::Done(request)) => {
                write_and_read(&request);
                Said::End(format!("{:?} {}", request.command, request.target))
            }
            Err(error) => Said::End(format!("{} {:?}", error.word(), error.farewell())),
        }
    });
}

/// A server against our client. The first byte: the command (remainder by 3), whether there is a log-in (from 128).
pub fn socks5_client(data: &[u8]) {
    let Some((&choice, said)) = data.split_first() else { return };
    let command = match choice % 3 {
        0 => Command::Connect,
        1 => Command::Bind,
        _ => Command::UdpAssociate,
    };
    let target = Address::from(std::net::SocketAddr::from(([192, 0, 2, 1], 80)));
    same_at_every_cut(said, || {
        let login = if choice < 128 { None } else { Login::new(b"user", b"password").ok() };
        let mut handshake = ClientHandshake::new(command, target.clone(), login);
        move |buf: &mut BytesMut| match handshake.advance(buf) {
            Ok(client::Step::Read) => Said::Read,
            Ok(client::Step::Send(bytes)) => Said::Step(format!("send {bytes:?}")),
            Ok(client::Step::Done(bound)) => {
                same_again(&bound);
                Said::End(bound.to_string())
            }
            Err(error) => Said::End(error.word().to_owned()),
        }
    });
}

/// Our client asks for what our server has read, and our server must read the same.
fn write_and_read(request: &Request) {
    same_again(&request.target);
    let mut client = ClientHandshake::new(request.command, request.target.clone(), None);
    let mut server = ServerHandshake::new(Offered::None);
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    for _ in 0..2 {
        let Ok(client::Step::Send(bytes)) = client.advance(&mut to_client) else {
            panic!("the client has more to say")
        };
        to_server.extend_from_slice(&bytes);
        match server.advance(&mut to_server) {
            Ok(server::Step::Send(bytes)) => to_client.extend_from_slice(&bytes),
            Ok(server::Step::Done(again)) => {
                assert!(again == *request && to_server.is_empty(), "not what was read before");
                return;
            }
            Ok(server::Step::Read | server::Step::Verify(_)) => {
                panic!("the message is whole, and nobody logs in")
            }
            Err(error) => panic!("what was read before is now refused: {error}"),
        }
    }
    panic!("the request never arrived");
}

/// What was read can be written and read again.
pub(crate) fn same_again(address: &Address) {
    let mut bytes = Vec::new();
    address.encode(&mut bytes);
    assert_eq!(Address::decode(&bytes), Ok(Some((address.clone(), bytes.len()))), "{bytes:?}");
}
