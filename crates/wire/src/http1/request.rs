//! The head of a request: RFC 9112 sections 2, 3 and 5.
//!
//! The end of the head is looked for first, `httparse` then takes it apart once, and what `httparse` lets through
//! is checked here: forms of the target, Host, lengths, Connection. Deviations, all towards refusing: one empty line
//! before the request and not more; no white space but single spaces in the request line; HTTP/1.0 and 1.1 alone.
//! Not here: what becomes of the request.

use super::diagnose;
use super::fields::{Fields, FieldsView, offset, slice};
use super::framing::{self, BodyLength, Options, Version};
use super::known::Known;
use super::limits::{Limits, MAX_FIELDS};
use super::method::{MAX_METHOD, Method};
use super::refusal::Refusal;
use super::scan::{Found, Kind, Scan};
use super::target::{Authority, Form, RequestTarget};
use super::tokens::members;
use httparse::{Error, Status};
use std::mem::MaybeUninit;
use std::ops::Deref;

/// An index over the head of one request, to be used again for the next one.
///
/// It owns no byte of the message: what is handed to [`RequestHead::view`] must be what was handed to
/// [`RequestHead::parse`]. Other bytes give empty or wrong parts, never a panic.
#[derive(Debug)]
pub struct RequestHead {
    fields: Fields,
    scan: Scan,
    body: BodyLength,
    form: Form,
    method_at: u16,
    target_at: u16,
    target_len: u16,
    method_len: u8,
    method: Method,
    version: Version,
    options: Options,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            scan: Scan::default(),
            body: BodyLength::None,
            form: Form::default(),
            method_at: 0,
            target_at: 0,
            target_len: 0,
            method_len: 0,
            method: Method::Other,
            version: Version::Http11,
            options: Options::default(),
        }
    }
}

impl RequestHead {
    /// An index over nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the message, and how far it was looked through; keeps the memory. To be called before the first
    /// [`RequestHead::parse`] of the next message.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.scan = Scan::default();
    }

    /// Reads the head at the front of `bytes`, which are all octets received since the message began, and returns
    /// its length with the empty line. `None`: more is needed; only the new octets are looked at the next time.
    ///
    /// A single CRLF before the request counts as a part of its head (RFC 9112 section 2.2), so a peer that closes
    /// after it has ended between two messages.
    ///
    /// # Errors
    /// The reason why this is no request, or none that is served.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        if self.scan.is_fresh()
            && let Some(end) = self.whole(bytes, limits)
        {
            self.check(bytes)?;
            return Ok(Some(end));
        }
        let Some(found) = self.scan.advance(bytes, limits, Kind::Request)? else { return Ok(None) };
        let head = bytes.get(..found.end).unwrap_or_default();
        self.found(head, found, limits)?;
        self.check(head)?;
        Ok(Some(found.end))
    }

    /// The usual case: the head came in one piece, and nothing about its lines is odd. Anything else, a fault above
    /// all, is left to the scan, so that what is said of a message does not depend on how it was cut.
    fn whole(&mut self, bytes: &[u8], limits: &Limits) -> Option<usize> {
        let window = bytes.get(..limits.head_octets()).unwrap_or(bytes);
        let Ok(Status::Complete(end)) = self.tokenise(window, limits) else { return None };
        let lead_is_good = match self.method_at {
            0 => true,
            2 => window.starts_with(b"\r\n"),
            _ => false,
        };
        let first_end = self.fields_at().saturating_sub(2);
        let good = lead_is_good
            && usize::from(self.method_len) <= MAX_METHOD
            && usize::from(self.target_len) <= limits.target
            && self.fields.lines_end_in_crlf(window, first_end);
        good.then_some(end)
    }

    /// Takes apart a head whose end the scan has found.
    fn found(&mut self, head: &[u8], found: Found, limits: &Limits) -> Result<(), Refusal> {
        match self.tokenise(head, limits) {
            Ok(Status::Complete(end)) if end == head.len() => {}
            Err(Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Ok(_) | Err(_) => return Err(diagnose::head(head, found, Kind::Request)),
        }
        if usize::from(self.target_len) > limits.target { Err(Refusal::TargetTooLong) } else { Ok(()) }
    }

    /// Runs the tokenizer over `window`, at most 65,535 octets, and notes where it found what.
    fn tokenise(&mut self, window: &[u8], limits: &Limits) -> Result<Status<usize>, Error> {
        #[cfg(test)]
        super::tokens::LOOKED.with(|looked| looked.set(looked.get() + window.len()));
        let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = space.get_mut(..limits.field_count()).unwrap_or_default();
        let mut request = httparse::Request::new(&mut []);
        let Status::Complete(end) = request.parse_with_uninit_headers(window, room)? else {
            return Ok(Status::Partial);
        };
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        self.method = Method::of(method.as_bytes());
        self.method_at = offset(window, method.as_bytes());
        self.method_len = u8::try_from(method.len()).unwrap_or(u8::MAX);
        self.target_at = offset(window, target.as_bytes());
        self.target_len = u16::try_from(target.len()).unwrap_or(u16::MAX);
        self.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.fields.fill(window, (self.fields_at(), end), request.headers);
        Ok(Status::Complete(end))
    }

    /// Where the first field line begins, when the request line ends in CRLF.
    fn fields_at(&self) -> usize {
        usize::from(self.target_at) + usize::from(self.target_len) + " HTTP/1.1\r\n".len()
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let target = slice(bytes, self.target_at, self.target_len);
        self.form = Form::of(target, self.method)?;
        let fields = self.fields.view(bytes);
        fields.check_names()?;
        check_host(&fields, self.form.view(target, self.method), self.version)?;
        self.options = Options::of(&fields)?;
        self.body = framing::of_request(&fields, self.version, self.method)?;
        Ok(())
    }

    /// The request over its bytes, the same that were parsed.
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> RequestView<'a> {
        RequestView { head: self, fields: self.fields.view(bytes) }
    }
}

/// Host: one, well-formed, and of one mind with the target (RFC 9112 sections 3.2 and 3.2.2). CONNECT may leave the
/// port out of it, as some clients do.
fn check_host(fields: &FieldsView<'_>, target: RequestTarget<'_>, version: Version) -> Result<(), Refusal> {
    let Some(host) = fields.get(Known::Host) else {
        return if version == Version::Http11 { Err(Refusal::HostMissing) } else { Ok(()) };
    };
    if !fields.is_single(Known::Host) {
        return Err(Refusal::HostRepeated);
    }
    let (authority, default) = match target {
        RequestTarget::Origin(_) | RequestTarget::Asterisk => ("", None),
        RequestTarget::Absolute { scheme, authority, .. } => (authority, Some(scheme.default_port())),
        RequestTarget::Authority(authority) => (authority, None),
    };
    if !authority.is_empty() && authority.as_bytes() == host {
        return Ok(());
    }
    let host = Authority::parse(host).map_err(|_fault| Refusal::HostMalformed)?;
    if authority.is_empty() {
        return Ok(());
    }
    let wanted = Authority::parse(authority.as_bytes()).map_err(|_fault| Refusal::TargetAuthority)?;
    let default = default.or(wanted.port).unwrap_or_default();
    if host.agrees(&wanted, default) { Ok(()) } else { Err(Refusal::HostContradicts) }
}

/// A request as it was sent. Its fields are reached through [`FieldsView`].
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    head: &'a RequestHead,
    fields: FieldsView<'a>,
}

impl<'a> Deref for RequestView<'a> {
    type Target = FieldsView<'a>;

    fn deref(&self) -> &FieldsView<'a> {
        &self.fields
    }
}

impl<'a> RequestView<'a> {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The method as it was sent: a token of 1 to 32 octets.
    #[must_use]
    pub fn method_str(&self) -> &'a str {
        let token = slice(self.fields.bytes(), self.head.method_at, u16::from(self.head.method_len));
        str::from_utf8(token).unwrap_or_default()
    }

    /// The target, taken apart.
    #[must_use]
    pub fn target(&self) -> RequestTarget<'a> {
        self.head.form.view(self.raw_target(), self.head.method)
    }

    /// The target as it was sent.
    #[must_use]
    pub fn raw_target(&self) -> &'a [u8] {
        slice(self.fields.bytes(), self.head.target_at, self.head.target_len)
    }

    /// The version the client speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The Host field: `host` or `host:port`, checked, and not in contradiction to the target. Only HTTP/1.0 may
    /// lack it.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        str::from_utf8(self.fields.get(Known::Host)?).ok()
    }

    /// Where the body ends; never [`BodyLength::UntilClose`].
    #[must_use]
    pub fn body(&self) -> BodyLength {
        self.head.body
    }

    /// Whether the client may send another request on this connection: RFC 9112 section 9.3. Not with HTTP/1.0 and
    /// an absolute target, since such a client may have passed `keep-alive` through a proxy that does not know it.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let blind = match self.head.form {
            Form::Origin | Form::Asterisk => false,
            Form::Absolute { .. } | Form::Authority => self.head.version == Version::Http10,
        };
        self.head.options.persists(self.head.version) && !blind
    }

    /// Whether the client may be waiting for 100 (Continue) before it sends its body: RFC 9110 section 10.1.1.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        let has_body = match self.head.body {
            BodyLength::None | BodyLength::Length(0) => false,
            BodyLength::Length(_) | BodyLength::Chunked | BodyLength::UntilClose => true,
        };
        has_body
            && self.head.version == Version::Http11
            && self.has(Known::Expect)
            && self.asks_for_continue()
    }

    fn asks_for_continue(&self) -> bool {
        self.get_all(Known::Expect)
            .flat_map(|field| members(field.value))
            .any(|member| member.eq_ignore_ascii_case(b"100-continue"))
    }

    /// The protocols the client would change to, when Connection names them (RFC 9110 section 7.8); a list in the
    /// order of its wishes. With several Upgrade fields, the first.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        let asked = self.head.options.upgrade && self.head.version == Version::Http11;
        let protocols = self.get(Known::Upgrade)?;
        (asked && !protocols.is_empty()).then_some(protocols)
    }

    /// The members of Connection, in order, as they were sent.
    pub fn connection_options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.get_all(Known::Connection).flat_map(|field| members(field.value))
    }
}
