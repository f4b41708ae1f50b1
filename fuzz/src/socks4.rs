//! SOCKS4 in both roles: `data` is what a client says to a server, and what a server says to a client.

use crate::cut::{Said, same_at_every_cut};
use bytes::BytesMut;
use shoalway_types::Failure as _;
use shoalway_wire::socks4::client::{self, ClientError, ClientHandshake};
use shoalway_wire::socks4::server::{self, Request, ServerHandshake};

/// Runs both roles; what the server reads, the client must be able to write.
pub fn socks4(data: &[u8]) {
    same_at_every_cut(data, || {
        let mut handshake = ServerHandshake::new();
        move |buf: &mut BytesMut| match handshake.advance(buf) {
            Ok(server::Step::Read) => Said::Read,
            Ok(server::Step::Done(request)) => {
                write_and_read(&request);
                Said::End(format!("{:?} {} {:?}", request.command, request.target, request.user.0))
            }
            Err(error) => Said::End(error.word().to_owned()),
        }
    });
    same_at_every_cut(data, || {
        |buf: &mut BytesMut| match client::decode_reply(buf) {
            Ok(None) => Said::Read,
            Ok(Some(bound)) => Said::End(bound.to_string()),
            Err(error) => Said::End(error.word().to_owned()),
        }
    });
}

fn write_and_read(request: &Request) {
    let mut handshake = match ClientHandshake::new(request.command, &request.target, &request.user.0) {
        Ok(handshake) => handshake,
        // A name may spell an IPv6 address, which cannot be written as one.
        Err(ClientError::Ipv6) => return,
        Err(error) => panic!("{error}"),
    };
    let Ok(client::Step::Send(bytes)) = handshake.advance(&mut BytesMut::new()) else {
        panic!("the first step sends the request");
    };
    let mut buf = BytesMut::from(&bytes[..]);
    match ServerHandshake::new().advance(&mut buf) {
        Ok(server::Step::Done(again)) => {
            assert!(again == *request && buf.is_empty(), "not what was read before")
        }
        Ok(server::Step::Read) => panic!("what was read before is now incomplete"),
        Err(error) => panic!("what was read before is now refused: {error}"),
    }
}
