//! The server's handshake over byte strings, each whole, cut in two at every point, and one byte at a time.

use super::*;
use crate::cut::same_at_every_cut;
use crate::socks5::{Reply, encode_reply};
use std::net::SocketAddr;

/// The steps for what a client says, and what was left. The only good log-in is `me` with `secret`.
fn outcome(offered: Offered, input: &[u8]) -> (String, Vec<u8>) {
    let (steps, left) = same_at_every_cut(input, || {
        let mut handshake = ServerHandshake::new(offered);
        let mut over = false;
        move |buf: &mut BytesMut| {
            if over {
                return None;
            }
            match handshake.advance(buf) {
                Ok(Step::Read) => None,
                Ok(Step::Send([version, code])) => Some(format!("send {version} {code}")),
                Ok(Step::Verify(login)) => {
                    handshake.verified(login.user() == b"me" && login.password() == b"secret");
                    Some(format!(
                        "verify {}:{}",
                        login.user().escape_ascii(),
                        login.password().escape_ascii()
                    ))
                }
                Ok(Step::Done(request)) => {
                    over = true;
                    Some(format!("{:?} {}", request.command, request.target))
                }
                Err(error) => {
                    over = true;
                    Some(error.word().to_owned())
                }
            }
        }
    });
    (steps.join(", "), left)
}

fn check(offered: Offered, input: &[u8], steps: &str, left: &[u8]) {
    assert_eq!(outcome(offered, input), (steps.to_owned(), left.to_vec()), "{input:?}");
}

#[test]
fn a_client_without_password_is_taken_to_its_request() {
    for (request, said) in [
        (&b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"[..], "Connect 192.0.2.1:80"),
        (b"\x05\x01\x00\x03\x0cHost.example\x01\xbb", "Connect host.example:443"),
        (b"\x05\x01\xaa\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50", "Connect [2001:db8::1]:80"),
        (b"\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x15", "Bind 192.0.2.1:21"),
        (b"\x05\x02\x00\x01\0\0\0\0\0\0", "Bind 0.0.0.0:0"),
        (b"\x05\x03\x00\x01\0\0\0\0\0\0", "UdpAssociate 0.0.0.0:0"),
        (b"\x05\x03\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "UdpAssociate [::]:0"),
        // As PySocks writes "not known yet".
        (b"\x05\x03\x00\x03\x010\x01\xbb", "UdpAssociate 0.0.0.0:443"),
    ] {
        let input = [&b"\x05\x01\x00"[..], request, b"payload"].concat();
        check(Offered::None, &input, &format!("send 5 0, {said}"), b"payload");
    }
}

#[test]
fn a_login_is_asked_for_answered_and_followed_by_the_request() {
    let request = b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50";
    let good = [&b"\x05\x02\x00\x02\x01\x02me\x06secret"[..], request, b"\x16\x03\x01"].concat();
    let steps = "send 5 2, verify me:secret, send 1 0, Connect 192.0.2.1:80";
    check(Offered::Password, &good, steps, b"\x16\x03\x01");
    check(Offered::Either, &good, steps, b"\x16\x03\x01");

    let wrong = [&b"\x05\x01\x02\x01\x02me\x05guess"[..], request].concat();
    check(Offered::Password, &wrong, "send 5 2, verify me:guess, send 1 1, socks5_denied", request);
    check(Offered::Password, b"\x05\x01\x02\x01\x00\x00", "send 5 2, verify :, send 1 1, socks5_denied", b"");

    let longest = [&b"\x05\x01\x02\x01\xff"[..], &[b'u'; 255], b"\xff", &[b'p'; 255]].concat();
    let (steps, left) = outcome(Offered::Password, &longest);
    assert!(steps.contains(&"u".repeat(255)) && steps.contains(&"p".repeat(255)) && left.is_empty());
}

#[test]
fn the_method_follows_from_both_offers() {
    for (offered, methods, steps) in [
        (Offered::None, &b"\x00"[..], "send 5 0"),
        (Offered::None, b"\x00\x02", "send 5 0"),
        (Offered::None, b"\x02", "socks5_no_method"),
        (Offered::None, b"", "socks5_no_method"),
        (Offered::Password, b"\x00\x02", "send 5 2"),
        (Offered::Password, b"\x00\x01", "socks5_no_method"),
        (Offered::Either, b"\x00", "send 5 0"),
        (Offered::Either, b"\x00\x01\x02", "send 5 2"),
        (Offered::Either, b"\x02", "send 5 2"),
        (Offered::Either, b"\xff\x80", "socks5_no_method"),
    ] {
        let input = [&[5, u8::try_from(methods.len()).unwrap()], methods].concat();
        assert_eq!(outcome(offered, &input).0, steps, "{offered:?} {methods:?}");
    }
    let all: Vec<u8> = (0..=254).collect();
    check(Offered::Password, &[&[5, 255], &all[..]].concat(), "send 5 2", b"");
}

#[test]
fn a_broken_protocol_ends_with_a_word() {
    for (input, steps) in [
        (&b"\x04\x01"[..], "socks5_version"),
        (b"\x05\x01\x00\x04", "send 5 0, socks5_request_version"),
        (b"\x05\x01\x00\x05\x01\x00\x02", "send 5 0, socks5_unknown_address_type"),
        (b"\x05\x01\x00\x05\x09\x00\x01\xc0\x00\x02\x01\x00\x50", "send 5 0, socks5_unknown_command"),
        (b"\x05\x01\x00\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50", "send 5 0, socks5_unknown_command"),
        (b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x00", "send 5 0, socks5_bad_port"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "send 5 0, socks5_bad_name"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x02\xc3\xbc\x00\x50", "send 5 0, socks5_bad_name"),
    ] {
        assert_eq!(outcome(Offered::None, input).0, steps, "{input:?}");
    }
    assert_eq!(outcome(Offered::Password, b"\x05\x01\x02\x05").0, "send 5 2, socks5_login_version");
}

#[test]
fn half_a_message_changes_nothing() {
    for input in [&b"\x05"[..], b"\x05\x03\x00\x01"] {
        check(Offered::None, input, "", input);
    }
    check(Offered::Password, b"\x05\x01\x02\x01\x02me\x06secre", "send 5 2", b"\x01\x02me\x06secre");
    check(
        Offered::None,
        b"\x05\x01\x00\x05\x01\x00\x03\x09a.exam",
        "send 5 0",
        b"\x05\x01\x00\x03\x09a.exam",
    );
}

#[test]
fn the_driver_must_answer_before_it_goes_on() {
    let mut handshake = ServerHandshake::new(Offered::Password);
    handshake.verified(true);
    let mut buf = BytesMut::from(&b"\x05\x01\x02\x01\x01a\x01b"[..]);
    assert!(
        matches!(handshake.advance(&mut buf), Ok(Step::Send([5, 2]))),
        "an early verdict counts for nothing"
    );
    assert!(matches!(handshake.advance(&mut buf), Ok(Step::Verify(_))));
    assert_eq!(handshake.advance(&mut buf).err(), Some(ServerError::OutOfTurn));
    handshake.verified(true);
    assert_eq!(handshake.advance(&mut buf).err(), Some(ServerError::OutOfTurn), "over is over");
    assert_eq!(ServerError::OutOfTurn.side(), Side::Local);
}

#[test]
fn a_farewell_is_what_the_client_waits_for() {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let name = ServerError::Address(AddressError::Name(shoalway_types::HostError::Empty));
    for (error, reply) in [
        (ServerError::RequestVersion, Reply::GeneralFailure),
        (ServerError::Port, Reply::GeneralFailure),
        (name, Reply::GeneralFailure),
        (ServerError::Command { code: 9 }, Reply::CommandNotSupported),
        (AddressError::Type { kind: 2 }.into(), Reply::AddressTypeNotSupported),
    ] {
        assert_eq!(error.farewell(), encode_reply(reply, nowhere), "{error}");
    }
    assert_eq!(ServerError::NoMethod.farewell(), [5, 0xff]);
    assert_eq!(ServerError::LoginVersion.farewell(), [1, 1]);
    assert!(ServerError::GreetingVersion.farewell().is_empty());
}
