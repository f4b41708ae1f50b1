//! Bodies that are read.

use super::cuts::{self, looked, read_body};
use crate::http1::body::{BodyReader, Piece};
use crate::http1::framing::BodyLength;
use crate::http1::limits::Limits;
use crate::http1::refusal::Refusal;

#[test]
fn bodies_end_where_their_length_says() {
    for (length, input, content, relayed, left) in [
        (BodyLength::None, "next", "", "", 4),
        (BodyLength::Length(0), "next", "", "", 4),
        (BodyLength::Length(5), "hellonext", "hello", "hello", 4),
        (BodyLength::Chunked, "5\r\nhello\r\n0\r\n\r\nnext", "hello", "5\r\nhello\r\n0\r\n\r\n", 4),
        (BodyLength::Chunked, "0\r\n\r\nnext", "", "0\r\n\r\n", 4),
        (BodyLength::Chunked, "000\r\n\r\n", "", "000\r\n\r\n", 0),
        (
            BodyLength::Chunked,
            "0000000000000001\r\nx\r\n0\r\n\r\n",
            "x",
            "0000000000000001\r\nx\r\n0\r\n\r\n",
            0,
        ),
        (
            BodyLength::Chunked,
            "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
            "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            0,
        ),
        (BodyLength::Chunked, "2;a=\"b\"\r\nhi\r\n0;x\r\n\r\nn", "hi", "2\r\nhi\r\n0\r\n\r\n", 1),
        (
            BodyLength::Chunked,
            "0\r\nX-Sum: 1\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            "",
            "0\r\nX-Sum: 1\r\nETag: x\r\n\r\n",
            0,
        ),
        (BodyLength::Chunked, "0\r\nHost: a\r\nSet-Cookie: b\r\n\r\n", "", "0\r\n\r\n", 0),
    ] {
        let body = cuts::body(length, input.as_bytes(), &Limits::default());
        assert_eq!(body.end, Some(Ok(())), "{input}");
        assert_eq!(body.content, content.as_bytes(), "{input}");
        assert_eq!(body.relayed, relayed.as_bytes(), "{input}");
        assert_eq!(input.len() - body.taken, left, "{input}");
    }
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let mut reader = BodyReader::new(BodyLength::UntilClose, &Limits::default());
    assert_eq!(reader.next(b""), Ok(Piece::NeedBytes));
    assert_eq!(reader.next(b"abc"), Ok(Piece::Data(3)));
    assert_eq!(reader.forward(), u64::MAX);
    assert!(!reader.is_done());
    assert_eq!(reader.at_eof(), Ok(()));
    assert!(reader.is_done());
    assert_eq!((reader.next(b""), reader.forward()), (Ok(Piece::Done), 0));
}

#[test]
fn a_connection_that_ends_early_is_told_from_one_that_ends_in_time() {
    for (length, input, end) in [
        (BodyLength::None, "", Ok(())),
        (BodyLength::Length(2), "ab", Ok(())),
        (BodyLength::Length(2), "a", Err(Refusal::Incomplete)),
        (BodyLength::Chunked, "", Err(Refusal::Incomplete)),
        (BodyLength::Chunked, "1\r\na\r\n", Err(Refusal::Incomplete)),
        (BodyLength::Chunked, "1\r\na\r\n0\r\n", Err(Refusal::Incomplete)),
        (BodyLength::Chunked, "1\r\na\r\n0\r\n\r\n", Ok(())),
    ] {
        let mut reader = BodyReader::new(length, &Limits::default());
        let mut input = input.as_bytes();
        while let Piece::Data(octets) | Piece::Frame(octets) | Piece::Trailers(octets) =
            reader.next(input).unwrap()
        {
            input = &input[octets..];
        }
        assert_eq!(reader.at_eof(), end, "{length:?}");
    }
}

#[test]
fn payload_may_pass_without_being_looked_at() {
    let mut reader = BodyReader::new(BodyLength::Length(1 << 40), &Limits::default());
    assert_eq!(reader.forward(), 1 << 40);
    reader.passed((1 << 40) - 3);
    assert_eq!(reader.next(b"abcd"), Ok(Piece::Data(3)));
    assert!(reader.is_done());

    let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default());
    assert_eq!(reader.forward(), 0);
    assert_eq!(reader.next(b"ffffffffffffffff\r\n"), Ok(Piece::Frame(18)));
    assert_eq!(reader.forward(), u64::MAX);
    reader.passed(u64::MAX - 1);
    assert_eq!(reader.next(b"x\r\n"), Ok(Piece::Data(1)));
    assert_eq!(reader.forward(), 0);
    assert_eq!(reader.next(b"\r\n"), Ok(Piece::Frame(2)));
    reader.passed(7);
    assert_eq!(reader.next(b"0\r\n"), Ok(Piece::Frame(3)));
}

#[test]
fn limits_are_the_last_size_that_passes() {
    let limits = Limits { chunk_line: 10, trailers: 10, fields: 2, ..Limits::default() };
    let end = |input: &str| cuts::body(BodyLength::Chunked, input.as_bytes(), &limits).end;
    assert_eq!(end("0;345678\r\n\r\n"), Some(Ok(())));
    assert_eq!(end("0;3456789\r\n\r\n"), Some(Err(Refusal::ChunkLineTooLong)));
    assert_eq!(end("0\r\nX: 4567\r\n\r\n"), Some(Err(Refusal::TrailersTooLarge)));
    assert_eq!(end("0\r\nX: 456\r\n\r\n"), Some(Ok(())));
    assert_eq!(end("0\r\nX:\r\nX:\r\n\r\n"), Some(Ok(())));
}

#[test]
fn framing_that_comes_octet_by_octet_costs_linear_time() {
    let line = format!("1;{}\r\n", "x".repeat(1_000));
    let input = format!("{line}a\r\n0\r\nX: {}\r\n\r\n", "y".repeat(10_000));
    let octets = looked(|| {
        let single: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        assert_eq!(read_body(BodyLength::Chunked, &single, &Limits::default()).end, Some(Ok(())));
    });
    assert!(octets <= 2 * input.len(), "{octets} octets looked at for {}", input.len());
}

#[test]
fn chunks_are_refused_as_soon_as_they_announce_more_than_is_taken() {
    for (most, text, good) in [
        (5, "5\r\nhello\r\n0\r\n\r\n", true),
        (5, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", true),
        (4, "5\r\n", false),
        (4, "3\r\nhel\r\n2\r\n", false),
        (u64::MAX, "1\r\na\r\nffffffffffffffff\r\n", false),
        (0, "0\r\n\r\n", true),
    ] {
        let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default()).at_most(most);
        let mut rest = text.as_bytes();
        let end = loop {
            match reader.next(rest) {
                Ok(Piece::NeedBytes | Piece::Done) => break Ok(()),
                Ok(Piece::Data(n) | Piece::Frame(n) | Piece::Skip(n) | Piece::Trailers(n)) => {
                    rest = &rest[n..]
                }
                Err(refusal) => break Err(refusal),
            }
        };
        assert_eq!(end, if good { Ok(()) } else { Err(Refusal::ContentTooLarge) }, "{most} {text:?}");
    }
}
