//! What is written reads as what was read, whatever the fields are.

use super::cuts;
use crate::http1::compose::{Edits, RequestLine, write_request, write_response};
use crate::http1::limits::Limits;
use crate::http1::method::Method;
use crate::http1::request::{RequestHead, RequestView};
use crate::http1::response::ResponseHead;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

type Pair = (Vec<u8>, Vec<u8>);

fn pairs(view: &crate::http1::fields::FieldsView<'_>) -> Vec<Pair> {
    view.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

/// Field lines without the names that framing and routing hang on.
fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}".prop_filter("framed by itself", |name| {
        !["host", "connection", "content-length", "transfer-encoding"].contains(&name.to_lowercase().as_str())
    });
    let value = "[ \t]{0,2}([!-~\u{e9}]([ \t!-~\u{e9}]{0,20}[!-~])?)?[ \t]{0,2}";
    prop::collection::vec((name, value), 0..12)
}

fn text(first: &str, lines: &[(String, String)]) -> String {
    let lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
    format!("{first}\r\n{lines}\r\n")
}

fn parse<'a>(head: &'a mut RequestHead, bytes: &'a [u8]) -> RequestView<'a> {
    head.clear();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(Some(bytes.len())), "{}", bytes.escape_ascii());
    head.view(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_written_as_they_were_read(lines in lines(), dropped in any::<u16>()) {
        let sent = text("GET http://a/b HTTP/1.1\r\nHost: a", &lines);
        let (mut head, mut again, mut edits, mut out) = <(RequestHead, RequestHead, Edits, Vec<u8>)>::default();
        let view = parse(&mut head, sent.as_bytes());
        let mut kept = pairs(&view);
        prop_assert_eq!(kept.len(), lines.len() + 1);
        for index in (1..kept.len()).rev().filter(|index| dropped & (1 << index) != 0) {
            edits.drop_field(index);
            kept.remove(index);
        }
        write_request(&mut out, view, RequestLine::Origin, &edits);
        prop_assert_eq!(pairs(&parse(&mut again, &out)), kept);
    }

    #[test]
    fn answers_are_written_as_they_were_read(lines in lines(), status in 200_u16..600) {
        let sent = text(&format!("HTTP/1.1 {status} caf\u{e9}"), &lines);
        let (mut head, mut out) = <(ResponseHead, Vec<u8>)>::default();
        prop_assert_eq!(head.parse(sent.as_bytes(), &Limits::default(), Method::Head), Ok(Some(sent.len())));
        write_response(&mut out, head.view(sent.as_bytes()), &Edits::new());
        prop_assert_eq!(out, sent.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_the_same_at_every_cut(bytes in prop::collection::vec(any::<u8>(), 0..60), good in 0_usize..40) {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        let mut mixed = text[..good.min(text.len())].to_vec();
        mixed.extend_from_slice(&bytes);
        let _either = cuts::request(&mixed, &Limits::default());
        let answer = [b"HTTP/1.1 200 OK\r\n", &mixed[..]].concat();
        let _either = cuts::response(&answer, &Limits::default(), Method::Get);
    }
}
