//! Why a message is refused: one variant a reason, one row in a table for each.
//!
//! A row holds the status for a client, the word for logs and metrics, the section that is broken and a sentence
//! for the error page. Not here: the page itself (`http/error_reply`), what the examples are (`tests/refusals.rs`).

use shoalway_types::{Failure, Retry, Side};
use std::fmt;

/// A reason to refuse a message. After any of them the end of the message is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The head is longer than [`super::limits::Limits::head`].
    HeadTooLarge,
    /// More fields than [`super::limits::Limits::fields`].
    TooManyFields,
    /// A field name over 254 octets.
    FieldNameTooLong,
    /// A line feed without a carriage return before it.
    BareLf,
    /// A carriage return that no line feed follows.
    BareCr,
    /// More than one empty line before a request, or any before an answer.
    EmptyLines,
    /// No request line.
    RequestLine,
    /// The method is empty, longer than 32 octets, or no token.
    MethodToken,
    /// A request of HTTP/0.9.
    Http09,
    /// Some other version of HTTP.
    Version,
    /// A target over [`super::limits::Limits::target`].
    TargetTooLong,
    /// Nothing between method and version.
    TargetEmpty,
    /// A control or DEL in the target, or bytes outside ASCII that are no UTF-8.
    TargetCharacter,
    /// A `#` in the target.
    TargetFragment,
    /// Neither a path, nor an absolute URI, nor fit for the method.
    TargetForm,
    /// A scheme that this proxy does not speak.
    TargetScheme,
    /// User information before the host.
    TargetUserinfo,
    /// Host or port in the target are malformed or empty.
    TargetAuthority,
    /// CONNECT with another form of target.
    ConnectTarget,
    /// `*` with a method other than OPTIONS.
    AsteriskTarget,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// Host is empty or malformed.
    HostMalformed,
    /// Host and target differ.
    HostContradicts,
    /// White space between the first line and the first field.
    FieldLeadingSpace,
    /// obs-fold.
    FieldFolded,
    /// A line that begins with a colon.
    FieldNameEmpty,
    /// A line without a colon.
    FieldColonMissing,
    /// White space before the colon.
    FieldColonSpace,
    /// Another character that a name cannot have.
    FieldName,
    /// NUL or another control but HTAB in a value.
    FieldValue,
    /// More than 64 options in Connection.
    ConnectionTooLong,
    /// A sign, a list, no digits, or too many.
    LengthMalformed,
    /// Content-Length twice, even with the same number.
    LengthRepeated,
    /// Both ways to say where the body ends.
    LengthAndEncoding,
    /// Transfer-Encoding twice, or `chunked` twice.
    EncodingRepeated,
    /// Any coding but one `chunked`, or none.
    EncodingUnknown,
    /// Transfer-Encoding in HTTP/1.0.
    EncodingVersion,
    /// A body on CONNECT or TRACE.
    BodyForbidden,
    /// Not a version, a space and three digits.
    StatusLine,
    /// Another version in an answer.
    AnswerVersion,
    /// A status outside 100 to 599.
    Status,
    /// A control in the reason phrase.
    Reason,
    /// 101 that was not asked for, or in HTTP/1.0.
    SwitchUnasked,
    /// 101 without Upgrade.
    SwitchUnnamed,
    /// A 1xx or 204 with Transfer-Encoding or a Content-Length over 0.
    BodyUnexpected,
    /// Empty, signed, prefixed, spaced, or too long.
    ChunkSize,
    /// Over [`super::limits::Limits::chunk_line`], or over 16 KiB of extensions in one body.
    ChunkLineTooLong,
    /// A control in a chunk extension.
    ChunkExtension,
    /// A bare CR or LF in a size line.
    ChunkLine,
    /// Chunk data longer or shorter than announced.
    ChunkEnd,
    /// Over [`super::limits::Limits::trailers`].
    TrailersTooLarge,
    /// The peer closed in the middle.
    Incomplete,
}

struct Row {
    status: u16,
    word: &'static str,
    section: &'static str,
    sentence: &'static str,
}

const fn row(status: u16, word: &'static str, section: &'static str, sentence: &'static str) -> Row {
    Row { status, word, section, sentence }
}

impl Refusal {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::HeadTooLarge,
        Self::TooManyFields,
        Self::FieldNameTooLong,
        Self::BareLf,
        Self::BareCr,
        Self::EmptyLines,
        Self::RequestLine,
        Self::MethodToken,
        Self::Http09,
        Self::Version,
        Self::TargetTooLong,
        Self::TargetEmpty,
        Self::TargetCharacter,
        Self::TargetFragment,
        Self::TargetForm,
        Self::TargetScheme,
        Self::TargetUserinfo,
        Self::TargetAuthority,
        Self::ConnectTarget,
        Self::AsteriskTarget,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostMalformed,
        Self::HostContradicts,
        Self::FieldLeadingSpace,
        Self::FieldFolded,
        Self::FieldNameEmpty,
        Self::FieldColonMissing,
        Self::FieldColonSpace,
        Self::FieldName,
        Self::FieldValue,
        Self::ConnectionTooLong,
        Self::LengthMalformed,
        Self::LengthRepeated,
        Self::LengthAndEncoding,
        Self::EncodingRepeated,
        Self::EncodingUnknown,
        Self::EncodingVersion,
        Self::BodyForbidden,
        Self::StatusLine,
        Self::AnswerVersion,
        Self::Status,
        Self::Reason,
        Self::SwitchUnasked,
        Self::SwitchUnnamed,
        Self::BodyUnexpected,
        Self::ChunkSize,
        Self::ChunkLineTooLong,
        Self::ChunkExtension,
        Self::ChunkLine,
        Self::ChunkEnd,
        Self::TrailersTooLarge,
        Self::Incomplete,
    ];

    /// Status for the client that sent the message. For what only an answer can break it is 502; when an upstream
    /// broke one of the others, the client gets what [`BadAnswer::status`] says.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// Whether the connection closes after the answer. True for every reason: where the next message would begin
    /// is unknown, and guessing is how requests are smuggled (RFC 9112 section 11.2).
    #[must_use]
    pub const fn close(self) -> bool {
        true
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// The section that the message breaks, such as `RFC 9112 6.3`.
    #[must_use]
    pub const fn section(self) -> &'static str {
        self.row().section
    }

    /// What is wrong, as a part of a sentence without a full stop. Holds nothing that the peer sent.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    #[expect(clippy::too_many_lines, reason = "a table: one row a reason")]
    const fn row(self) -> Row {
        match self {
            Self::HeadTooLarge => {
                row(431, "head_too_large", "RFC 6585 5", "the head is larger than this proxy takes")
            }
            Self::TooManyFields => {
                row(431, "too_many_fields", "RFC 6585 5", "the message has more fields than this proxy takes")
            }
            Self::FieldNameTooLong => {
                row(431, "field_name_too_long", "RFC 6585 5", "a field name is longer than 254 octets")
            }
            Self::BareLf => row(400, "bare_lf", "RFC 9112 2.2", "a line ends without a carriage return"),
            Self::BareCr => row(400, "bare_cr", "RFC 9112 2.2", "a carriage return stands alone"),
            Self::EmptyLines => {
                row(400, "empty_lines", "RFC 9112 2.2", "empty lines stand before the first line")
            }
            Self::RequestLine => row(
                400,
                "request_line",
                "RFC 9112 3",
                "the request line is not a method, a target and a version with one space between",
            ),
            Self::MethodToken => {
                row(400, "method", "RFC 9110 9.1", "the method is no token of at most 32 octets")
            }
            Self::Http09 => row(505, "http_0_9", "RFC 9110 15.6.6", "the request names no version of HTTP"),
            Self::Version => row(
                505,
                "version",
                "RFC 9110 15.6.6",
                "the request asks for a version of HTTP other than 1.0 and 1.1",
            ),
            Self::TargetTooLong => row(
                414,
                "target_too_long",
                "RFC 9110 15.5.15",
                "the request target is longer than this proxy takes",
            ),
            Self::TargetEmpty => row(400, "target_empty", "RFC 9112 3.2", "the request target is empty"),
            Self::TargetCharacter => row(
                400,
                "target_character",
                "RFC 3986 2",
                "the request target holds a control character or bytes that are no UTF-8",
            ),
            Self::TargetFragment => {
                row(400, "target_fragment", "RFC 9112 3.2", "the request target has a fragment")
            }
            Self::TargetForm => {
                row(400, "target_form", "RFC 9112 3.2", "the request target has none of the four forms")
            }
            Self::TargetScheme => row(
                400,
                "target_scheme",
                "RFC 9110 4.2",
                "the request target has a scheme other than http, https, ws and wss",
            ),
            Self::TargetUserinfo => {
                row(400, "target_userinfo", "RFC 9110 4.2.4", "the request target holds user information")
            }
            Self::TargetAuthority => row(
                400,
                "target_authority",
                "RFC 3986 3.2",
                "the request target names no valid host and port",
            ),
            Self::ConnectTarget => {
                row(400, "connect_target", "RFC 9112 3.2.3", "the target of CONNECT is not a host and a port")
            }
            Self::AsteriskTarget => {
                row(400, "asterisk_target", "RFC 9112 3.2.4", "the target * belongs to OPTIONS alone")
            }
            Self::HostMissing => row(400, "host_missing", "RFC 9112 3.2", "the Host field is missing"),
            Self::HostRepeated => {
                row(400, "host_repeated", "RFC 9112 3.2", "there is more than one Host field")
            }
            Self::HostMalformed => {
                row(400, "host_malformed", "RFC 9112 3.2", "the Host field names no valid host and port")
            }
            Self::HostContradicts => row(
                400,
                "host_contradicts",
                "RFC 9112 3.2.2",
                "the Host field and the request target name different hosts",
            ),
            Self::FieldLeadingSpace => {
                row(400, "field_leading_space", "RFC 9112 2.2", "white space stands before the first field")
            }
            Self::FieldFolded => {
                row(400, "field_folded", "RFC 9112 5.2", "a field is folded over several lines")
            }
            Self::FieldNameEmpty => row(400, "field_name_empty", "RFC 9112 5", "a field has no name"),
            Self::FieldColonMissing => {
                row(400, "field_colon_missing", "RFC 9112 5", "a field line has no colon")
            }
            Self::FieldColonSpace => row(
                400,
                "field_colon_space",
                "RFC 9112 5.1",
                "white space stands between a field name and its colon",
            ),
            Self::FieldName => row(400, "field_name", "RFC 9110 5.1", "a field name is no token"),
            Self::FieldValue => {
                row(400, "field_value", "RFC 9110 5.5", "a field value holds a control character")
            }
            Self::ConnectionTooLong => {
                row(400, "connection_too_long", "RFC 9110 7.6.1", "Connection names more than 64 options")
            }
            Self::LengthMalformed => row(
                400,
                "length_malformed",
                "RFC 9112 6.3",
                "Content-Length is not one decimal number below 2^64",
            ),
            Self::LengthRepeated => {
                row(400, "length_repeated", "RFC 9112 6.3", "there is more than one Content-Length field")
            }
            Self::LengthAndEncoding => row(
                400,
                "length_and_encoding",
                "RFC 9112 6.1",
                "Content-Length and Transfer-Encoding stand in one message",
            ),
            Self::EncodingRepeated => {
                row(400, "encoding_repeated", "RFC 9112 6.1", "there is more than one Transfer-Encoding")
            }
            Self::EncodingUnknown => row(
                501,
                "encoding_unknown",
                "RFC 9112 6.1",
                "Transfer-Encoding is something other than chunked",
            ),
            Self::EncodingVersion => {
                row(400, "encoding_version", "RFC 9112 6.1", "HTTP/1.0 has no Transfer-Encoding")
            }
            Self::BodyForbidden => row(400, "body_forbidden", "RFC 9110 9.3.6", "this method takes no body"),
            Self::StatusLine => row(502, "status_line", "RFC 9112 4", "the answer has no status line"),
            Self::AnswerVersion => row(
                502,
                "answer_version",
                "RFC 9112 2.3",
                "the answer has a version of HTTP other than 1.0 and 1.1",
            ),
            Self::Status => {
                row(502, "status", "RFC 9110 15", "the status of the answer is outside 100 to 599")
            }
            Self::Reason => row(502, "reason", "RFC 9112 4", "the reason phrase holds a control character"),
            Self::SwitchUnasked => row(
                502,
                "switch_unasked",
                "RFC 9110 15.2.2",
                "the answer switches protocols and nobody asked for that",
            ),
            Self::SwitchUnnamed => row(
                502,
                "switch_unnamed",
                "RFC 9110 7.8",
                "the answer switches protocols and does not say to which",
            ),
            Self::BodyUnexpected => {
                row(502, "body_unexpected", "RFC 9112 6.3", "an answer that has no body announces one")
            }
            Self::ChunkSize => {
                row(400, "chunk_size", "RFC 9112 7.1", "a chunk size is not 1 to 16 hexadecimal digits")
            }
            Self::ChunkLineTooLong => row(
                400,
                "chunk_line_too_long",
                "RFC 9112 7.1.1",
                "a chunk's size line or all chunk extensions together are longer than this proxy takes",
            ),
            Self::ChunkExtension => {
                row(400, "chunk_extension", "RFC 9112 7.1.1", "a chunk extension holds a control character")
            }
            Self::ChunkLine => {
                row(400, "chunk_line", "RFC 9112 7.1", "a chunk's size line does not end in CRLF")
            }
            Self::ChunkEnd => row(400, "chunk_end", "RFC 9112 7.1", "no CRLF follows the data of a chunk"),
            Self::TrailersTooLarge => row(
                431,
                "trailers_too_large",
                "RFC 6585 5",
                "the trailer section is larger than this proxy takes",
            ),
            Self::Incomplete => {
                row(400, "incomplete", "RFC 9112 8", "the connection ended before the message did")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Refusal {}

/// For a message that the client sent. For an upstream's see [`BadAnswer`].
impl Failure for Refusal {
    fn side(&self) -> Side {
        if self.status() == 502 { Side::Upstream } else { Side::Client }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn word(&self) -> &'static str {
        self.row().word
    }
}

/// A refusal of what an upstream sent: its fault, and 502 for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnswer(pub Refusal);

impl BadAnswer {
    /// Status for the client: RFC 9110 section 15.6.3.
    #[must_use]
    pub const fn status(self) -> u16 {
        502
    }
}

impl Failure for BadAnswer {
    fn side(&self) -> Side {
        Side::Upstream
    }

    fn retry(&self) -> Retry {
        if self.0 == Refusal::Incomplete { Retry::IfIdempotent } else { Retry::Never }
    }

    fn word(&self) -> &'static str {
        self.0.word()
    }
}
