//! The client's handshake over what servers say, each whole, cut in two at every point, and one byte at a time.

use super::*;
use crate::cut::same_at_every_cut;
use crate::socks5::encode_reply;
use crate::socks5::server::{self, Offered, ServerHandshake};
use shoalway_types::Target;
use std::net::SocketAddr;

const GREETING: &str = r"send \x05\x01\x00";
const GREETING_WITH_LOGIN: &str = r"send \x05\x02\x00\x02";
const LOGIN: &str = r"send \x01\x02me\x06secret";
const REQUEST: &str = r"send \x05\x01\x00\x03\ta.example\x00P";

fn target(text: &str) -> Address {
    Target::parse(text, None).unwrap().into()
}

fn login() -> Option<Login> {
    Some(Login::new(b"me", b"secret").unwrap())
}

/// The steps of a CONNECT to `a.example:80` for what the server says, and what was left in the buffer.
fn outcome(login: &Option<Login>, input: &[u8]) -> (Vec<String>, Vec<u8>) {
    same_at_every_cut(input, || {
        let mut handshake = ClientHandshake::new(Command::Connect, target("a.example:80"), login.clone());
        let mut over = false;
        move |buf: &mut BytesMut| {
            if over {
                return None;
            }
            match handshake.advance(buf) {
                Ok(Step::Read) => None,
                Ok(Step::Send(bytes)) => Some(format!("send {}", bytes.escape_ascii())),
                Ok(Step::Done(bound)) => {
                    over = true;
                    Some(format!("done {bound}"))
                }
                Err(error) => {
                    over = true;
                    Some(error.word().to_owned())
                }
            }
        }
    })
}

#[test]
fn a_server_without_password_is_asked_at_once() {
    for (bound, shown) in [
        (&b"\x01\xc0\x00\x02\x01\x00\x50"[..], "192.0.2.1:80"),
        (b"\x01\0\0\0\0\0\0", "0.0.0.0:0"),
        (b"\x03\x07b.local\x00\x01", "b.local:1"),
        (b"\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb", "[2001:db8::1]:443"),
    ] {
        let input = [&b"\x05\x00\x05\x00\x00"[..], bound, b"SSH-2.0"].concat();
        let end = format!("done {shown}");
        assert_eq!(
            outcome(&None, &input),
            (vec![GREETING.into(), REQUEST.into(), end.clone()], b"SSH-2.0".to_vec())
        );
        let steps = vec![GREETING_WITH_LOGIN.into(), REQUEST.into(), end];
        assert_eq!(outcome(&login(), &input).0, steps, "the password is not shown when it is not asked for");
    }
}

#[test]
fn a_login_is_sent_when_asked_for() {
    for version in [1, 5] {
        let input = [&[5, 2, version, 0][..], b"\x05\x00\x00\x01\0\0\0\0\0\0"].concat();
        let steps = [GREETING_WITH_LOGIN, LOGIN, REQUEST, "done 0.0.0.0:0"];
        assert_eq!(outcome(&login(), &input).0, steps);
    }
}

#[test]
fn refusals_and_broken_servers_end_with_a_word() {
    for (login, input, end) in [
        (None, &b"\x04"[..], "socks5_upstream_version"),
        (None, b"HTTP/1.1 400 Bad Request", "socks5_upstream_version"),
        (None, b"\x05\xff", "socks5_upstream_no_method"),
        (None, b"\x05\x02", "socks5_upstream_unoffered_method"),
        (None, b"\x05\x01", "socks5_upstream_unoffered_method"),
        (login(), b"\x05\xff", "socks5_upstream_no_method"),
        (login(), b"\x05\x02\x01\x01", "socks5_upstream_denied"),
        (None, b"\x05\x00\x04", "socks5_upstream_version"),
        (None, b"\x05\x00\x05\x00\x00\x02", "socks5_upstream_bad_address"),
        (None, b"\x05\x00\x05\x00\x00\x03\x00\x00\x50", "socks5_upstream_bad_address"),
        (None, b"\x05\x00\x05\x09", "socks5_upstream_unknown_reply"),
    ] {
        assert_eq!(outcome(&login, input).0.last().map(String::as_str), Some(end), "{input:?}");
    }
    assert_eq!(outcome(&None, b"\x05\x00\x05").0, [GREETING, REQUEST], "half a reply ends nothing");
}

#[test]
fn every_refusal_keeps_its_code_and_has_its_own_word() {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut words = std::collections::BTreeSet::new();
    for reply in Reply::ALL.into_iter().filter(|&reply| reply != Reply::Succeeded) {
        let mut buf = BytesMut::from(&encode_reply(reply, nowhere)[..]);
        let error = decode_reply(&mut buf).unwrap_err();
        assert_eq!((error, error.reply()), (ClientError::Refused { code: reply.code() }, Some(reply)));
        words.insert(error.word());
    }
    assert_eq!(words.len(), Reply::ALL.len() - 1);
    assert_eq!(ClientError::Refused { code: 5 }.retry(), Retry::Safe);
    assert_eq!(ClientError::Refused { code: 2 }.retry(), Retry::Never);
    assert_eq!(ClientError::Refused { code: 77 }.retry(), Retry::Never);
}

#[test]
fn the_second_reply_to_bind_names_the_peer() {
    let mut buf = BytesMut::from(&b"\x05\x00\x00\x01\xc0\x00\x02\x09\x12\x34rest"[..]);
    assert_eq!(decode_reply(&mut buf).unwrap().unwrap().to_string(), "192.0.2.9:4660");
    assert_eq!(&buf[..], b"rest");
    assert_eq!(decode_reply(&mut BytesMut::new()), Ok(None));
}

/// Lets both machines talk until the server has the request, or one of them gives up.
fn talk(
    offered: Offered,
    login: Option<Login>,
    command: Command,
    to: &str,
) -> Result<server::Request, &'static str> {
    let mut client = ClientHandshake::new(
        command,
        to.parse::<SocketAddr>().map_or_else(|_| target(to), Address::from),
        login,
    );
    let mut server = ServerHandshake::new(offered);
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    loop {
        match client.advance(&mut to_client) {
            Ok(Step::Send(bytes)) => to_server.extend_from_slice(&bytes),
            Ok(Step::Read) => {}
            Ok(Step::Done(_)) => panic!("nobody answered the request"),
            Err(error) => return Err(error.word()),
        }
        loop {
            match server.advance(&mut to_server) {
                Ok(server::Step::Read) => break,
                Ok(server::Step::Send(bytes)) => to_client.extend_from_slice(&bytes),
                Ok(server::Step::Verify(login)) => server.verified(login.password() == b"secret"),
                Ok(server::Step::Done(request)) => return Ok(request),
                Err(error) => {
                    to_client.extend_from_slice(error.farewell());
                    break;
                }
            }
        }
    }
}

#[test]
fn our_server_understands_our_client() {
    for (offered, login) in [(Offered::None, None), (Offered::Password, login()), (Offered::Either, login())]
    {
        for command in [Command::Connect, Command::Bind, Command::UdpAssociate] {
            for to in ["192.0.2.1:80", "[2001:db8::1]:443", "host.example:1"] {
                let request = talk(offered, login.clone(), command, to).unwrap();
                assert_eq!((request.command, request.target.to_string()), (command, to.to_owned()));
            }
        }
    }
    let associate = talk(Offered::None, None, Command::UdpAssociate, "0.0.0.0:0").unwrap();
    assert_eq!(associate.target.to_string(), "0.0.0.0:0");
}

#[test]
fn our_server_turns_our_client_away_so_that_it_knows_why() {
    let wrong = Some(Login::new(b"me", b"guess").unwrap());
    for (offered, login, word) in [
        (Offered::Password, None, "socks5_upstream_no_method"),
        (Offered::Password, wrong, "socks5_upstream_denied"),
    ] {
        assert_eq!(talk(offered, login, Command::Connect, "a.example:80").err(), Some(word));
    }
    assert_eq!(
        talk(Offered::None, None, Command::Connect, "0.0.0.0:0").err(),
        Some("socks5_upstream_failure"),
        "port 0"
    );
}
