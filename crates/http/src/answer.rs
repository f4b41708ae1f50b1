//! Answers made here: refusals, errors, small pages. Each is one complete HTTP/1.1 message with Content-Length.
//!
//! The reason stands in `Proxy-Status` (RFC 9209) for programs and in a page without scripts for people. What the
//! client sent, and what the operator wrote, is escaped before it stands in a page; a destination never stands in a
//! field. Not here: when an answer is given (`service`, and the products), sending it (`h1`).

/// Name of this proxy in `Proxy-Status`.
const PROXY_NAME: &str = "shoalway";
/// Longest `details` of a `Proxy-Status`; what is longer is cut.
const MAX_DETAILS: usize = 256;

/// An answer that comes from this proxy and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    close: bool,
    /// Whole field lines, without Content-Length and Connection.
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer of this type and body, and nothing that says why.
    #[must_use]
    pub fn plain(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let answer = Self { status, close: false, fields: Vec::new(), body: body.into() };
        answer.field("Content-Type", content_type).field("Cache-Control", "no-store")
    }

    /// An answer of this type and body, of which caches may think as they like.
    #[must_use]
    pub fn content(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let answer = Self { status, close: false, fields: Vec::new(), body: body.into() };
        answer.field("Content-Type", content_type)
    }

    /// An answer without content.
    #[must_use]
    pub const fn empty(status: u16) -> Self {
        Self { status, close: false, fields: Vec::new(), body: Vec::new() }
    }

    /// A page of our own: `title` as heading, `body` as HTML that is already escaped.
    #[must_use]
    pub fn page(status: u16, title: &str, body: &str) -> Self {
        Self::plain(status, "text/html; charset=utf-8", page(title, body))
    }

    /// An error: `word` is an error type of RFC 9209 section 2.3, `details` says more to programs (may be empty),
    /// `sentence` to people.
    #[must_use]
    pub fn error(status: u16, word: &str, details: &str, sentence: &str) -> Self {
        let title = format!("{status} {}", reason(status));
        let body = format!("<p>{}</p><p class=\"d\">{}</p>", escaped(sentence), escaped(word));
        Self::page(status, &title, &body).field("Proxy-Status", &proxy_status(word, details))
    }

    /// A rule of the operator's says no. `rule` is its number (from 1), `text` the rule as it was written, `say`
    /// what the operator wants the person to read.
    #[must_use]
    pub fn blocked(rule: u32, text: &str, say: Option<&str>) -> Self {
        let mut body = String::new();
        if let Some(say) = say {
            body.push_str(&format!("<p><b>{}</b></p>", escaped(say)));
        }
        body.push_str(&format!(
            "<p>This is not allowed by rule {rule} of this proxy:</p><pre>{}</pre>",
            escaped(text)
        ));
        Self::page(403, "Blocked by a rule", &body)
            .field("Proxy-Status", &proxy_status("http_request_denied", &format!("rule:{rule}")))
    }

    /// The client must say who it is: RFC 9110 section 11.7.1, RFC 7617 section 2.1.
    #[must_use]
    pub fn proxy_auth_required(realm: &str) -> Self {
        let challenge = format!("Basic realm={}, charset=\"UTF-8\"", quoted(realm));
        Self::page(407, "Log in to this proxy", "<p>This proxy wants a user and a password.</p>")
            .field("Proxy-Authenticate", &challenge)
            .field("Proxy-Status", &proxy_status("http_request_denied", "proxy_auth"))
    }

    /// Too much at once: the client may come again in some seconds.
    #[must_use]
    pub fn busy(retry_after_seconds: u32) -> Self {
        Self::error(503, "proxy_internal_response", "busy", "This proxy has too much to do right now.")
            .field("Retry-After", &retry_after_seconds.to_string())
    }

    /// The same for a client that speaks gRPC: an error becomes a status of gRPC in an answer without content, since
    /// such clients do not read pages. The rest stays as it is.
    ///
    /// "HTTP to gRPC Status Code Mapping" of the gRPC documentation says which; what Retry-After and Proxy-Status say
    /// stays in their fields.
    #[must_use]
    pub fn in_grpc(mut self) -> Self {
        if self.status < 400 {
            return self;
        }
        let (code, message) = (grpc_code(self.status), reason(self.status));
        self.status = 200;
        self.body.clear();
        self.without("Content-Type")
            .field("Content-Type", "application/grpc")
            .field("grpc-status", code)
            .field("grpc-message", message)
    }

    /// The same answer, after which the connection ends.
    #[must_use]
    pub const fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Adds a field. Anything but visible ASCII, space and tab in the value becomes `?`, so no value adds a line; a name
    /// that is no token adds nothing.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if !is_token(name.as_bytes()) {
            return self;
        }
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        let visible = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        self.fields.extend(value.bytes().map(|byte| if visible(byte) { byte } else { b'?' }));
        self.fields.extend_from_slice(b"\r\n");
        self
    }

    /// Takes away all fields of this name, in any spelling. Content-Length and Connection are written by themselves.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let is_it = |line: &[u8]| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                && line.get(name.len()) == Some(&b':')
        };
        let lines = self.fields.split_inclusive(|byte| *byte == b'\n');
        self.fields = lines.filter(|line| !is_it(line)).flatten().copied().collect();
        self
    }

    /// HTTP status, 200 to 599.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection ends after it, whatever the client wished.
    #[must_use]
    pub const fn close(&self) -> bool {
        self.close
    }

    /// What follows the head, unless it answers HEAD.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Appends the head alone to `out`, for content of this length that comes from elsewhere, and for a connection that
    /// is not used again.
    pub fn write_head(&self, out: &mut Vec<u8>, length: u64) {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes());
        out.extend_from_slice(&self.fields);
        out.extend_from_slice(format!("Content-Length: {length}\r\nConnection: close\r\n\r\n").as_bytes());
    }

    /// Appends the whole message to `out`. `head_only` answers HEAD; `close` says that the connection ends for
    /// another reason than [`Answer::closing`].
    pub fn write(&self, out: &mut Vec<u8>, head_only: bool, close: bool) {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).as_bytes());
        out.extend_from_slice(&self.fields);
        // RFC 9110 section 8.6: not with 204, and with 304 only the length that a 200 would have.
        let bodiless = matches!(self.status, 204 | 304);
        if !bodiless {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        if close || self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !head_only && !bodiless {
            out.extend_from_slice(&self.body);
        }
    }
}

/// Whether a request with this Content-Type speaks gRPC. `application/grpc-web` does not: it has its status in the
/// content of an answer.
#[must_use]
pub fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.split_at_checked(GRPC.len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        }
        None => false,
    }
}

const GRPC: &[u8] = b"application/grpc";

/// The status of gRPC that clients take an HTTP status for.
const fn grpc_code(status: u16) -> &'static str {
    match status {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502 | 503 | 504 => "14",
        _ => "2",
    }
}

/// The value of a `Proxy-Status` field with one member: RFC 9209 section 2. `word` is a token, `details` any text.
#[must_use]
pub fn proxy_status(word: &str, details: &str) -> String {
    let mut value = format!("{PROXY_NAME}; error={word}");
    if !details.is_empty() {
        value.push_str("; details=");
        value.push_str(&quoted(details));
    }
    value
}

/// A string of RFC 9651 section 3.3.3, which is also a quoted-string of RFC 9110: visible ASCII alone.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars().take(MAX_DETAILS) {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// Text as it may stand in HTML, in an attribute too.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character => out.push(character),
        }
    }
    out
}

/// RFC 9110 section 5.6.2.
fn is_token(name: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_tchar)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>{STYLE}\
         <h1>{title}</h1>{body}<p class=\"d\">Shoalway</p></html>\n",
        title = escaped(title),
    )
}

const STYLE: &str = "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:38em;margin:4em auto;padding:0 1em}\
                     pre{background:#8882;padding:.6em;white-space:pre-wrap}.d{color:#888;font-size:.85em}</style>";

/// Reason phrases of the statuses this proxy gives, RFC 9110 section 15.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer, head_only: bool, close: bool) -> String {
        let mut out = Vec::new();
        answer.write(&mut out, head_only, close);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_is_one_whole_message() {
        let answer = Answer::plain(200, "text/plain", "hello");
        let fields = "Content-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 5\r\n";
        assert_eq!(written(&answer, false, false), format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello"));
        assert_eq!(
            written(&answer, true, true),
            format!("HTTP/1.1 200 OK\r\n{fields}Connection: close\r\n\r\n")
        );
        assert!(written(&answer.closing(), true, false).contains("\r\nConnection: close\r\n"));
        assert_eq!(written(&Answer::empty(204), false, false), "HTTP/1.1 204 No Content\r\n\r\n");
    }

    #[test]
    fn a_refusal_names_its_rule_in_field_and_page() {
        let text = written(&Answer::blocked(3, "block list:ads", Some("not <here>")), false, false);
        assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(
            text.contains("\r\nProxy-Status: shoalway; error=http_request_denied; details=\"rule:3\"\r\n")
        );
        assert!(text.contains("<pre>block list:ads</pre>") && text.contains("not &lt;here&gt;"));
    }

    #[test]
    fn nothing_that_is_put_in_gets_out_of_its_place() {
        let evil = "\"\\\r\nSet-Cookie: a=b\u{e9}<script>";
        for answer in [
            Answer::error(502, "dns_error", evil, evil),
            Answer::proxy_auth_required(evil),
            Answer::blocked(1, evil, Some(evil)),
            Answer::empty(200).field("X-Odd", evil),
        ] {
            let text = written(&answer, false, false);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(!head.contains("\nSet-Cookie") && head.is_ascii(), "{head}");
            assert!(!body.contains("<script>"), "{body}");
        }
    }

    #[test]
    fn fields_can_be_taken_away_and_a_304_has_no_length() {
        let answer =
            Answer::plain(304, "text/plain", "").field("X-A", "1").field("x-a", "2").field("X-Ab", "3");
        let text = written(&answer.without("X-a").without("content-type"), false, false);
        assert_eq!(text, "HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\nX-Ab: 3\r\n\r\n");
        assert_eq!(
            written(&Answer::empty(204).field("No token", "x"), false, false),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
    }

    #[test]
    fn an_error_for_grpc_has_its_status_in_a_field_and_no_page() {
        let text = written(&Answer::error(503, "dns_error", "", "x").in_grpc(), false, false);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{text}");
        for line in ["Content-Type: application/grpc", "grpc-status: 14", "grpc-message: Service Unavailable"]
        {
            assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
        }
        assert!(head.contains("Proxy-Status: shoalway; error=dns_error") && !head.contains("text/html"));
        let moved = Answer::empty(302).field("Location", "/");
        assert_eq!(moved.clone().in_grpc(), moved);
        for (content_type, speaks) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc; x=y", true),
            ("application/grpc-web", false),
            ("application/grp", false),
            ("text/html", false),
        ] {
            assert_eq!(is_grpc(content_type.as_bytes()), speaks, "{content_type}");
        }
    }

    #[test]
    fn a_log_in_is_asked_for_as_the_rfc_says() {
        let text = written(&Answer::proxy_auth_required("Shoal \"x\""), true, false);
        assert!(
            text.contains("\r\nProxy-Authenticate: Basic realm=\"Shoal \\\"x\\\"\", charset=\"UTF-8\"\r\n")
        );
        assert!(written(&Answer::busy(2), true, false).contains("\r\nRetry-After: 2\r\n"));
    }
}
