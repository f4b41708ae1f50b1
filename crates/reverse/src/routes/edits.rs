//! Edits of fields that an operator asks for: add, set, remove, on requests and answers.
//!
//! In the order they are written, each on the message as it came: removing does not touch what an earlier edit has added.
//! Not here: what a proxy changes by itself (`http_gateway/forwarding.rs`).

use super::when::FieldName;
use shoalway_http::answer::Answer;
use shoalway_wire::http1::compose::Edits;
use shoalway_wire::http1::fields::FieldsView;

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldEdit {
    /// One more field of this name.
    Add(FieldName, Box<str>),
    /// This and no other.
    Set(FieldName, Box<str>),
    /// None.
    Remove(FieldName),
}

impl FieldEdit {
    /// Marks the edit in a message that is passed on.
    pub fn mark(&self, fields: &FieldsView<'_>, edits: &mut Edits) {
        match self {
            Self::Add(name, value) => add(edits, name, value),
            Self::Set(name, value) => {
                drop_all(fields, name, edits);
                add(edits, name, value);
            }
            Self::Remove(name) => drop_all(fields, name, edits),
        }
    }

    /// Makes the edit in an answer of our own.
    #[must_use]
    pub fn apply(&self, answer: Answer) -> Answer {
        match self {
            Self::Add(name, value) => answer.field(name.text(), value),
            Self::Set(name, value) => answer.without(name.text()).field(name.text(), value),
            Self::Remove(name) => answer.without(name.text()),
        }
    }
}

fn add(edits: &mut Edits, name: &FieldName, value: &str) {
    edits.add(name.text().as_bytes(), value.as_bytes());
}

fn drop_all(fields: &FieldsView<'_>, name: &FieldName, edits: &mut Edits) {
    match name.known() {
        Some(known) => edits.drop_known(fields, known),
        None => {
            let text = name.text().as_bytes();
            let same = fields
                .fields()
                .filter(|field| field.known.is_none() && field.name.eq_ignore_ascii_case(text));
            same.for_each(|field| edits.drop_field(field.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::compose::{RequestLine, write_request};
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn edit(text: &str) -> FieldEdit {
        let name = |text: &str| FieldName::parse(text).unwrap();
        match text.split_at(1) {
            ("-", field) => FieldEdit::Remove(name(field)),
            (sign, rest) => {
                let (field, value) = rest.split_once('=').unwrap();
                let make = if sign == "+" { FieldEdit::Add } else { FieldEdit::Set };
                make(name(field), value.into())
            }
        }
    }

    #[test]
    fn fields_are_added_set_and_removed() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nCookie: c\r\n\r\n";
        let mut head = RequestHead::new();
        head.parse(bytes, &Limits::default()).unwrap().unwrap();
        for (edits, wanted) in [
            ("+X-B=3", "X-A: 1|x-a: 2|Cookie: c|X-B: 3||"),
            ("=X-A=3", "Cookie: c|X-A: 3||"),
            ("-x-a -cookie", "|"),
            ("=cookie=d +cookie=e", "X-A: 1|x-a: 2|cookie: d|cookie: e||"),
            ("+X-B=3 -X-B", "X-A: 1|x-a: 2|Cookie: c|X-B: 3||"),
        ] {
            let (mut marked, mut out) = (Edits::new(), Vec::new());
            edits.split(' ').for_each(|text| edit(text).mark(&head.view(bytes), &mut marked));
            write_request(&mut out, head.view(bytes), RequestLine::Origin, &marked);
            let text = String::from_utf8(out).unwrap().replace("\r\n", "|");
            assert_eq!(text.strip_prefix("GET / HTTP/1.1|Host: a|").unwrap(), wanted, "{edits}");
        }
        let answer = Answer::plain(200, "text/plain", "x");
        let edited = ["=content-type=text/html", "-Cache-Control", "+X-B=1"]
            .iter()
            .fold(answer, |answer, text| edit(text).apply(answer));
        let mut out = Vec::new();
        edited.write(&mut out, false, false);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nX-B: 1\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(String::from_utf8(out).unwrap(), head);
    }
}
