//! Requests that are read, and what is read in them.
use super::super::limits::Limits;
use super::super::request::RequestHead;

#[test]
fn a_plain_request_is_read() {
    let bytes = b"GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\nrest";
    let mut head = RequestHead::new();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(Some(bytes.len() - 4)));
    assert_eq!(head.view(bytes).len(), 2);
}
