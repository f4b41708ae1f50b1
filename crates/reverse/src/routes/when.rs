//! What a route asks of a request besides its path: method, fields, host.
//!
//! Not here: paths (`pattern.rs`), sites (`hosts.rs`).

use super::hosts::{HostPattern, host_of};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;

/// A set of methods. Methods are case-sensitive, RFC 9110 section 9.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodSet {
    known: u16,
    others: Box<[Box<str>]>,
}

impl MethodSet {
    /// These methods. GET brings HEAD with it.
    #[must_use]
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut known, mut others) = (0, Vec::new());
        for name in names {
            match Method::of(name.as_bytes()) {
                Method::Other => others.push(name.into()),
                Method::Get => known |= bit(Method::Get) | bit(Method::Head),
                method => known |= bit(method),
            }
        }
        Self { known, others: others.into() }
    }

    /// Whether the method of a request is in it.
    #[must_use]
    pub fn contains(&self, request: RequestView<'_>) -> bool {
        match request.method() {
            Method::Other => self.others.iter().any(|name| **name == *request.method_str()),
            method => self.known & bit(method) != 0,
        }
    }

    /// The value of Allow, RFC 9110 section 10.2.1.
    #[must_use]
    pub fn allow(&self) -> String {
        let known = NAMES.iter().filter(|name| self.known & bit(Method::of(name.as_bytes())) != 0);
        let all: Vec<&str> = known.copied().chain(self.others.iter().map(AsRef::as_ref)).collect();
        all.join(", ")
    }
}

const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

const fn bit(method: Method) -> u16 {
    1 << method as u16
}

/// A name of a field, looked up once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName {
    text: Box<str>,
    known: Option<Known>,
}

/// A text is no name of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a field is letters, digits and some signs, and none of those that frame a message")]
pub struct NotAName;

impl FieldName {
    /// Reads a name: a token (RFC 9110 section 5.6.2).
    ///
    /// # Errors
    /// [`NotAName`], also for fields that say where a message ends or whom a connection belongs to.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let known = Known::find(text.as_bytes());
        let frames = matches!(
            known,
            Some(
                Known::ContentLength
                    | Known::TransferEncoding
                    | Known::Connection
                    | Known::Trailer
                    | Known::Upgrade
                    | Known::KeepAlive
                    | Known::Te
            )
        );
        if text.is_empty() || frames || !text.bytes().all(is_tchar) {
            return Err(NotAName);
        }
        Ok(Self { text: text.into(), known })
    }

    /// As written.
    #[must_use]
    pub const fn text(&self) -> &str {
        &self.text
    }

    /// Its id, if it has one.
    #[must_use]
    pub const fn known(&self) -> Option<Known> {
        self.known
    }

    /// The first value of this name in a request.
    #[must_use]
    pub fn value<'a>(&self, request: RequestView<'a>) -> Option<&'a [u8]> {
        match self.known {
            Some(known) => request.get(known),
            None => request.find(self.text.as_bytes()).map(|field| field.value),
        }
    }
}

/// What a route asks of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTest {
    /// Of which.
    pub name: FieldName,
    /// What.
    pub test: Test,
}

/// What is asked of the first value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// That it is there.
    Present,
    /// That it is not there.
    Absent,
    /// That it is this.
    Is(Box<str>),
    /// That this is somewhere in it.
    Contains(Box<str>),
}

impl FieldTest {
    fn holds(&self, request: RequestView<'_>) -> bool {
        let value = self.name.value(request);
        match (&self.test, value) {
            (Test::Present, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::Is(_) | Test::Contains(_), None) => false,
            (Test::Is(text), Some(value)) => value == text.as_bytes(),
            (Test::Contains(text), Some(value)) => memchr::memmem::find(value, text.as_bytes()).is_some(),
        }
    }
}

/// What a route asks of a request besides its path. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// One of these hosts, where a site has several; empty: any of them.
    pub hosts: Vec<HostPattern>,
    /// One of these methods.
    pub methods: Option<MethodSet>,
    /// All of this.
    pub fields: Vec<FieldTest>,
}

impl When {
    /// Whether a request is as asked. `authority` is its host, perhaps with a port.
    #[must_use]
    pub fn holds(&self, request: RequestView<'_>, authority: &str) -> bool {
        let method = self.methods.as_ref().is_none_or(|methods| methods.contains(request));
        method
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| is_of(host, authority)))
            && self.fields.iter().all(|test| test.holds(request))
    }
}

fn is_of(pattern: &HostPattern, authority: &str) -> bool {
    let host = host_of(authority);
    match pattern {
        HostPattern::Any => true,
        HostPattern::Exact(wanted) => match wanted.ip() {
            Some(ip) => host.parse() == Ok(ip),
            None => wanted.name().is_some_and(|name| name.eq_ignore_ascii_case(host)),
        },
        HostPattern::Below(name) => {
            let above = host.len().checked_sub(name.as_str().len() + 1);
            let tail = above.and_then(|at| host.get(at..)).and_then(|tail| tail.strip_prefix('.'));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_wire::http1::limits::Limits;
    use shoalway_wire::http1::request::RequestHead;

    fn holds(when: &When, method: &str, host: &str, fields: &str) -> bool {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        head.parse(bytes.as_bytes(), &Limits::default()).unwrap().unwrap();
        when.holds(head.view(bytes.as_bytes()), host)
    }

    #[test]
    fn methods_fields_and_hosts_are_asked_for() {
        let methods =
            |names: &[&str]| When { methods: Some(MethodSet::of(names.iter().copied())), ..When::default() };
        let field = |name: &str, test| When {
            fields: vec![FieldTest { name: FieldName::parse(name).unwrap(), test }],
            ..When::default()
        };
        let host = |text: &str| When { hosts: vec![HostPattern::parse(text).unwrap()], ..When::default() };
        let beta = || Test::Is("beta".into());
        for (when, method, name, fields, wanted) in [
            (When::default(), "BREW", "a.example", "", true),
            (methods(&["GET"]), "HEAD", "a.example", "", true),
            (methods(&["GET"]), "POST", "a.example", "", false),
            (methods(&["BREW", "PUT"]), "BREW", "a.example", "", true),
            (methods(&["BREW", "PUT"]), "Brew", "a.example", "", false),
            (field("x-stage", beta()), "GET", "a.example", "X-Stage: beta\r\n", true),
            (field("x-stage", beta()), "GET", "a.example", "X-Stage: beta2\r\n", false),
            (field("x-stage", beta()), "GET", "a.example", "", false),
            (field("cookie", Test::Present), "GET", "a.example", "Cookie: a\r\n", true),
            (field("cookie", Test::Absent), "GET", "a.example", "Cookie: a\r\n", false),
            (
                field("accept", Test::Contains("html".into())),
                "GET",
                "a.example",
                "Accept: text/html\r\n",
                true,
            ),
            (host("a.example"), "GET", "A.example:80", "", true),
            (host("*.example"), "GET", "a.example", "", true),
            (host("*.example"), "GET", "aexample", "", false),
            (host("*.example"), "GET", "example", "", false),
        ] {
            assert_eq!(holds(&when, method, name, fields), wanted, "{when:?} {method} {name} {fields}");
        }
        assert_eq!(MethodSet::of(["PUT", "GET", "BREW"]).allow(), "GET, HEAD, PUT, BREW");
    }

    #[test]
    fn names_that_frame_a_message_cannot_be_edited() {
        for text in ["", "a b", "a:", "Content-Length", "transfer-encoding", "Connection", "TE"] {
            assert_eq!(FieldName::parse(text), Err(NotAName), "{text}");
        }
    }
}
