//! HTTP/1.1 for the raw client: requests in one line, answers taken apart just far enough for a test to ask about them.
//!
//! Deliberately simple and strict: it believes no framing but RFC 9112 section 6.3's plain cases, and fails the test
//! on everything else. Shares no code with the engine under test.

use crate::client::{End, RawClient, show};
use crate::wait::{Deadline, PATIENCE};

/// One answer, final or interim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Everything from the status line to the empty line, as it came.
    pub head: String,
    /// Decoded body.
    pub body: Vec<u8>,
    /// Trailer lines as they came, without line ends.
    pub trailers: Vec<String>,
    /// Data of each chunk as it was framed; empty when the body was not chunked.
    pub chunks: Vec<Vec<u8>>,
}

impl Response {
    /// Value of the first field of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a parameter of `Proxy-Status`, RFC 9209, when the entry is this proxy's.
    #[must_use]
    pub fn proxy_status(&self, parameter: &str) -> Option<String> {
        let entry = self.header("Proxy-Status")?;
        let (name, rest) = entry.split_once(';')?;
        if name.trim() != "shoalway" {
            return None;
        }
        rest.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim() == parameter).then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// The proxy refused: this status, and `error=` of `Proxy-Status` says so.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, error: &str) {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        assert_eq!(self.proxy_status("error").as_deref(), Some(error), "{}", self.head);
    }
}

/// Value of the first field of that name in a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl RawClient {
    /// Sends a GET for an absolute URL with its Host, and reads the answer.
    #[track_caller]
    pub fn get(&mut self, url: &str) -> Response {
        self.send(format!("GET {url} HTTP/1.1\r\nHost: {}\r\n\r\n", authority(url)));
        self.read_response()
    }

    /// Asks for a tunnel with CONNECT and reads the answer, whatever it is. What follows a 2xx is the tunnel.
    #[track_caller]
    pub fn connect_request(&mut self, target: &str) -> Response {
        self.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        self.read_response_to("CONNECT")
    }

    /// Opens a tunnel with CONNECT, which must succeed.
    #[track_caller]
    #[must_use]
    pub fn tunnel_to(mut self, target: impl ToString) -> Self {
        let answer = self.connect_request(&target.to_string());
        assert_eq!(answer.status, 200, "{}{}", answer.head, answer.text());
        self
    }

    /// Reads one answer to something other than HEAD or CONNECT; an interim one counts.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// Reads one answer to a request with this method, which decides whether there is a body.
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        let head = String::from_utf8_lossy(&self.read_until("\r\n\r\n")).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status @ 100..=999) = status else { panic!("no status line: {}", show(head.as_bytes())) };
        let mut response = Response { status, head, body: vec![], trailers: vec![], chunks: vec![] };
        let bodiless = matches!(status, 100..=199 | 204 | 304);
        let tunnel = method == "CONNECT" && (200..300).contains(&status);
        if method == "HEAD" || bodiless || tunnel {
            return response;
        }
        if response.header("Transfer-Encoding").is_some_and(|te| te.eq_ignore_ascii_case("chunked")) {
            let Some((chunks, trailers)) = self.try_read_chunks() else {
                panic!("a chunked body broke off: {}{}", response.head, show(&self.unread));
            };
            response.body = chunks.concat();
            (response.chunks, response.trailers) = (chunks, trailers);
        } else if let Some(length) = response.header("Content-Length") {
            response.body = self.read_exactly(length.parse().expect("Content-Length of an answer"));
        } else {
            let (body, end) = self.read_to_end(PATIENCE);
            assert_eq!(end, End::Closed, "an answer without length ends with the connection");
            response.body = body;
        }
        response
    }

    /// Reads a chunked body and its trailers, or gives up where it is none.
    pub(crate) fn try_read_chunks(&mut self) -> Option<(Vec<Vec<u8>>, Vec<String>)> {
        let (mut chunks, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let line = self.try_read_line()?;
            let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            chunks.push(self.try_read_exactly(size).ok()?);
            if !self.try_read_line()?.is_empty() {
                return None;
            }
        }
        loop {
            let line = self.try_read_line()?;
            if line.is_empty() {
                return Some((chunks, trailers));
            }
            trailers.push(line);
        }
    }

    fn try_read_line(&mut self) -> Option<String> {
        let mut line = self.try_read_until(b"\r\n").ok()?;
        line.truncate(line.len() - 2);
        String::from_utf8(line).ok()
    }

    /// True when at least one byte comes before the connection ends: the start of a further request.
    pub(crate) fn more_comes(&mut self) -> bool {
        !self.unread.is_empty() || self.fill(Deadline::after(PATIENCE * 3)).is_ok()
    }
}

/// The authority of an absolute URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::far::{Far, Step, TcpScript};

    fn answered(bytes: &str, method: &str) -> Response {
        let far = TcpScript::start([Step::Send(bytes.into()), Step::Close]);
        RawClient::connect(far.addr()).read_response_to(method)
    }

    #[test]
    fn answers_are_taken_apart() {
        let sized = answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabcd", "GET");
        assert_eq!((sized.status, sized.text().as_str(), sized.header("x-a")), (200, "abc", Some("b")));
        let chunked = answered(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: v\r\n\r\n",
            "GET",
        );
        assert_eq!((chunked.text().as_str(), chunked.chunks.len()), ("abc", 2));
        assert_eq!(chunked.trailers, ["T: v"]);
        assert_eq!(answered("HTTP/1.0 200 OK\r\n\r\nall", "GET").text(), "all");
        assert!(answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD").body.is_empty());
        assert!(answered("HTTP/1.1 204 None\r\n\r\n", "GET").body.is_empty());
        assert!(answered("HTTP/1.1 200 Tunnel\r\n\r\n", "CONNECT").body.is_empty());
    }

    #[test]
    fn a_refusal_is_read_from_proxy_status() {
        let answer = answered(
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\nProxy-Status: shoalway; error=http_request_denied; details=\"rule:2\"\r\n\r\n",
            "GET",
        );
        answer.assert_refused(403, "http_request_denied");
        assert_eq!(answer.proxy_status("details").as_deref(), Some("rule:2"));
    }

    #[test]
    fn a_tunnel_begins_after_the_head() {
        let far = Far::listen();
        let client = RawClient::connect(far.addr());
        let mut there = far.accept();
        let answering = std::thread::spawn(move || {
            let head = there.read_until("\r\n\r\n");
            there.send("HTTP/1.1 200 OK\r\n\r\nbanner");
            head
        });
        client.tunnel_to("far.test:443").expect("banner");
        assert!(
            answering.join().unwrap().starts_with(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n")
        );
    }
}
