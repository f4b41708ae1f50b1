//! The head of an answer: RFC 9112 sections 4, 5 and 6.3.
//!
//! The same way as a request's ([`super::request`]): find the end, tokenise once, check. One liberty: the space before
//! an empty reason phrase may be missing, as many origins have it; there is no second reading of that.
//! Not here: matching answers to requests, and what a 101 does to the connection.

use super::diagnose;
use super::fields::{Fields, FieldsView, slice};
use super::framing::{self, BodyLength, Options, Version};
use super::known::Known;
use super::limits::{Limits, MAX_FIELDS};
use super::method::Method;
use super::refusal::Refusal;
use super::request::RequestView;
use super::scan::{Kind, Scan};
use super::tokens::members;
use httparse::{Error, Status};
use std::mem::MaybeUninit;
use std::ops::Deref;

/// What has to be known of a request to read the answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its method: HEAD and CONNECT have answers without a body.
    pub method: Method,
    /// Whether it asked to change the protocol; without that a 101 is refused.
    pub upgrade: bool,
}

impl From<Method> for Asked {
    fn from(method: Method) -> Self {
        Self { method, upgrade: false }
    }
}

impl From<RequestView<'_>> for Asked {
    /// What the client asked; right when its Upgrade is passed on.
    fn from(request: RequestView<'_>) -> Self {
        Self { method: request.method(), upgrade: request.upgrade().is_some() }
    }
}

/// An index over the head of one answer, to be used again for the next one. As with
/// [`super::request::RequestHead`], the bytes stay with the caller.
#[derive(Debug)]
pub struct ResponseHead {
    fields: Fields,
    scan: Scan,
    body: BodyLength,
    status: u16,
    reason_len: u16,
    version: Version,
    options: Options,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            scan: Scan::default(),
            body: BodyLength::None,
            status: 0,
            reason_len: 0,
            version: Version::Http11,
            options: Options::default(),
        }
    }
}

/// Where the reason phrase stands, if there is one: behind `HTTP/1.1 200 `.
const REASON: u16 = 13;

impl ResponseHead {
    /// An index over nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the message, and how far it was looked through; keeps the memory. To be called before the first
    /// [`ResponseHead::parse`] of the next message, an interim one included.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.scan = Scan::default();
    }

    /// Reads the head at the front of `bytes`, which are all octets received since the message began, and returns
    /// its length with the empty line. `None`: more is needed; only the new octets are looked at the next time.
    ///
    /// # Errors
    /// The reason why this is no answer to what was asked. For the client that is a 502:
    /// [`super::refusal::BadAnswer`].
    pub fn parse(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        asked: impl Into<Asked>,
    ) -> Result<Option<usize>, Refusal> {
        if self.scan.is_fresh()
            && let Some(end) = self.whole(bytes, limits)
        {
            self.check(bytes, asked.into())?;
            return Ok(Some(end));
        }
        let Some(found) = self.scan.advance(bytes, limits, Kind::Response)? else { return Ok(None) };
        let head = bytes.get(..found.end).unwrap_or_default();
        match self.tokenise(head, found.first_end, limits) {
            Ok(Status::Complete(end)) if end == head.len() => {}
            Err(Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Ok(_) | Err(_) => return Err(diagnose::head(head, found, Kind::Response)),
        }
        self.check(head, asked.into())?;
        Ok(Some(found.end))
    }

    /// The usual case: the head came in one piece, and nothing about its lines is odd. Anything else, a fault above
    /// all, is left to the scan, so that what is said of a message does not depend on how it was cut.
    fn whole(&mut self, bytes: &[u8], limits: &Limits) -> Option<usize> {
        let window = bytes.get(..limits.head_octets()).unwrap_or(bytes);
        let first_end = memchr::memchr(b'\n', window)?.checked_sub(1)?;
        let Ok(Status::Complete(end)) = self.tokenise(window, first_end, limits) else { return None };
        let good = window.starts_with(b"HTTP/1.") && self.fields.lines_end_in_crlf(window, first_end);
        good.then_some(end)
    }

    /// Runs the tokenizer over `window`, at most 65,535 octets, and notes where it found what.
    fn tokenise(&mut self, window: &[u8], first_end: usize, limits: &Limits) -> Result<Status<usize>, Error> {
        #[cfg(test)]
        super::tokens::LOOKED.with(|looked| looked.set(looked.get() + window.len()));
        let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = space.get_mut(..limits.field_count()).unwrap_or_default();
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let Status::Complete(end) = parser.parse_response_with_uninit_headers(&mut response, window, room)?
        else {
            return Ok(Status::Partial);
        };
        self.status = response.code.unwrap_or_default();
        self.reason_len = u16::try_from(first_end.saturating_sub(usize::from(REASON))).unwrap_or(u16::MAX);
        self.version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.fields.fill(window, (first_end + 2, end), response.headers);
        Ok(Status::Complete(end))
    }

    fn check(&mut self, bytes: &[u8], asked: Asked) -> Result<(), Refusal> {
        if !(100..=599).contains(&self.status) {
            return Err(Refusal::Status);
        }
        let fields = self.fields.view(bytes);
        fields.check_names()?;
        self.options = Options::of(&fields)?;
        if self.status == 101 {
            self.check_switch(&fields, asked)?;
        }
        self.body = framing::of_response(&fields, self.version, self.status, asked.method)?;
        Ok(())
    }

    fn check_switch(&self, fields: &FieldsView<'_>, asked: Asked) -> Result<(), Refusal> {
        if !asked.upgrade || self.version == Version::Http10 {
            return Err(Refusal::SwitchUnasked);
        }
        match fields.get(Known::Upgrade) {
            None | Some([]) => Err(Refusal::SwitchUnnamed),
            Some(_) if !self.options.upgrade => Err(Refusal::SwitchUnnamed),
            Some(_) => Ok(()),
        }
    }

    /// The answer over its bytes, the same that were parsed.
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> ResponseView<'a> {
        ResponseView { head: self, fields: self.fields.view(bytes) }
    }
}

/// An answer as it was sent. Its fields are reached through [`FieldsView`].
#[derive(Clone, Copy)]
pub struct ResponseView<'a> {
    head: &'a ResponseHead,
    fields: FieldsView<'a>,
}

impl<'a> Deref for ResponseView<'a> {
    type Target = FieldsView<'a>;

    fn deref(&self) -> &FieldsView<'a> {
        &self.fields
    }
}

impl<'a> ResponseView<'a> {
    /// 100 to 599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The reason phrase, often empty. May hold obs-text.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        slice(self.fields.bytes(), REASON, self.head.reason_len)
    }

    /// The version the origin speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Whether another answer follows: 1xx but not 101, which is the last one of its connection.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.head.status, 100 | 102..=199)
    }

    /// Where the body ends, for the method that was asked with.
    #[must_use]
    pub fn body(&self) -> BodyLength {
        self.head.body
    }

    /// Whether the connection can carry another request after this message: RFC 9112 section 9.3. False for a body
    /// that ends with the connection, and for 101.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.head.body != BodyLength::UntilClose
            && self.head.status != 101
            && self.head.options.persists(self.head.version)
    }

    /// The protocol of a 101: what the connection speaks from here on.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        if self.head.status == 101 { self.get(Known::Upgrade) } else { None }
    }

    /// The members of Connection, in order, as they were sent.
    pub fn connection_options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.get_all(Known::Connection).flat_map(|field| members(field.value))
    }
}
