//! Why a message is refused: one variant a reason, one row in a table for each.
//!
//! A row holds the status for a client, the word for logs and metrics, the section that is broken and a sentence
//! for the error page. Not here: the page itself (`http/error_reply`), what the examples are (`tests/refusals.rs`).

use shoalway_types::{Failure, Retry, Side};
use std::fmt;

struct Row {
    status: u16,
    word: &'static str,
    section: &'static str,
    sentence: &'static str,
}

macro_rules! refusals {
    ($($(#[$doc:meta])+ $variant:ident = $status:literal, $word:literal, $section:literal, $sentence:literal;)*) => {
        /// A reason to refuse a message. After any of them the end of the message is unknown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$doc])+ $variant,)*
        }

        impl Refusal {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        status: $status,
                        word: $word,
                        section: $section,
                        sentence: $sentence,
                    },)*
                }
            }
        }
    };
}

// Reason, status for the client that sent it, word, section, sentence.
refusals! {
    /// The head is longer than [`super::limits::Limits::head`].
    HeadTooLarge = 431, "head_too_large", "RFC 6585 5", "the head is larger than this proxy takes";
    /// More fields than [`super::limits::Limits::fields`].
    TooManyFields = 431, "too_many_fields", "RFC 6585 5", "the message has more fields than this proxy takes";
    /// A field name over 254 octets.
    FieldNameTooLong = 431, "field_name_too_long", "RFC 6585 5", "a field name is longer than 254 octets";
    /// A line feed without a carriage return before it.
    BareLf = 400, "bare_lf", "RFC 9112 2.2", "a line ends without a carriage return";
    /// A carriage return that no line feed follows.
    BareCr = 400, "bare_cr", "RFC 9112 2.2", "a carriage return stands alone";
    /// More than one empty line before a request, or any before an answer.
    EmptyLines = 400, "empty_lines", "RFC 9112 2.2", "empty lines stand before the first line";
    /// No request line.
    RequestLine = 400, "request_line", "RFC 9112 3",
        "the request line is not a method, a target and a version with one space between";
    /// The method is empty, longer than 32 octets, or no token.
    MethodToken = 400, "method", "RFC 9110 9.1", "the method is no token of at most 32 octets";
    /// A request of HTTP/0.9.
    Http09 = 505, "http_0_9", "RFC 9110 15.6.6", "the request names no version of HTTP";
    /// Some other version of HTTP.
    Version = 505, "version", "RFC 9110 15.6.6",
        "the request asks for a version of HTTP other than 1.0 and 1.1";
    /// A target over [`super::limits::Limits::target`].
    TargetTooLong = 414, "target_too_long", "RFC 9110 15.5.15",
        "the request target is longer than this proxy takes";
    /// Nothing between method and version.
    TargetEmpty = 400, "target_empty", "RFC 9112 3.2", "the request target is empty";
    /// A control or DEL in the target, or bytes outside ASCII that are no UTF-8.
    TargetCharacter = 400, "target_character", "RFC 3986 2",
        "the request target holds a control character or bytes that are no UTF-8";
    /// A `#` in the target.
    TargetFragment = 400, "target_fragment", "RFC 9112 3.2", "the request target has a fragment";
    /// Neither a path, nor an absolute URI, nor fit for the method.
    TargetForm = 400, "target_form", "RFC 9112 3.2", "the request target has none of the four forms";
    /// A scheme that this proxy does not speak.
    TargetScheme = 400, "target_scheme", "RFC 9110 4.2",
        "the request target has a scheme other than http, https, ws and wss";
    /// User information before the host.
    TargetUserinfo = 400, "target_userinfo", "RFC 9110 4.2.4", "the request target holds user information";
    /// Host or port in the target are malformed or empty.
    TargetAuthority = 400, "target_authority", "RFC 3986 3.2",
        "the request target names no valid host and port";
    /// CONNECT with another form of target.
    ConnectTarget = 400, "connect_target", "RFC 9112 3.2.3", "the target of CONNECT is not a host and a port";
    /// `*` with a method other than OPTIONS.
    AsteriskTarget = 400, "asterisk_target", "RFC 9112 3.2.4", "the target * belongs to OPTIONS alone";
    /// HTTP/1.1 without Host.
    HostMissing = 400, "host_missing", "RFC 9112 3.2", "the Host field is missing";
    /// More than one Host.
    HostRepeated = 400, "host_repeated", "RFC 9112 3.2", "there is more than one Host field";
    /// Host is empty or malformed.
    HostMalformed = 400, "host_malformed", "RFC 9112 3.2", "the Host field names no valid host and port";
    /// Host and target differ.
    HostContradicts = 400, "host_contradicts", "RFC 9112 3.2.2",
        "the Host field and the request target name different hosts";
    /// White space between the first line and the first field.
    FieldLeadingSpace = 400, "field_leading_space", "RFC 9112 2.2", "white space stands before the first field";
    /// obs-fold.
    FieldFolded = 400, "field_folded", "RFC 9112 5.2", "a field is folded over several lines";
    /// A line that begins with a colon.
    FieldNameEmpty = 400, "field_name_empty", "RFC 9112 5", "a field has no name";
    /// A line without a colon.
    FieldColonMissing = 400, "field_colon_missing", "RFC 9112 5", "a field line has no colon";
    /// White space before the colon.
    FieldColonSpace = 400, "field_colon_space", "RFC 9112 5.1",
        "white space stands between a field name and its colon";
    /// Another character that a name cannot have.
    FieldName = 400, "field_name", "RFC 9110 5.1", "a field name is no token";
    /// NUL or another control but HTAB in a value.
    FieldValue = 400, "field_value", "RFC 9110 5.5", "a field value holds a control character";
    /// More than 64 options in Connection.
    ConnectionTooLong = 400, "connection_too_long", "RFC 9110 7.6.1", "Connection names more than 64 options";
    /// A sign, a list, no digits, or too many.
    LengthMalformed = 400, "length_malformed", "RFC 9112 6.3",
        "Content-Length is not one decimal number below 2^64";
    /// Content-Length twice, even with the same number.
    LengthRepeated = 400, "length_repeated", "RFC 9112 6.3", "there is more than one Content-Length field";
    /// Both ways to say where the body ends.
    LengthAndEncoding = 400, "length_and_encoding", "RFC 9112 6.1",
        "Content-Length and Transfer-Encoding stand in one message";
    /// Transfer-Encoding twice, or `chunked` twice.
    EncodingRepeated = 400, "encoding_repeated", "RFC 9112 6.1", "there is more than one Transfer-Encoding";
    /// Any coding but one `chunked`, or none.
    EncodingUnknown = 501, "encoding_unknown", "RFC 9112 6.1",
        "Transfer-Encoding is something other than chunked";
    /// Transfer-Encoding in HTTP/1.0.
    EncodingVersion = 400, "encoding_version", "RFC 9112 6.1", "HTTP/1.0 has no Transfer-Encoding";
    /// A body on CONNECT or TRACE.
    BodyForbidden = 400, "body_forbidden", "RFC 9110 9.3.6", "this method takes no body";
    /// Not a version, a space and three digits.
    StatusLine = 502, "status_line", "RFC 9112 4", "the answer has no status line";
    /// Another version in an answer.
    AnswerVersion = 502, "answer_version", "RFC 9112 2.3",
        "the answer has a version of HTTP other than 1.0 and 1.1";
    /// A status outside 100 to 599.
    Status = 502, "status", "RFC 9110 15", "the status of the answer is outside 100 to 599";
    /// A control in the reason phrase.
    Reason = 502, "reason", "RFC 9112 4", "the reason phrase holds a control character";
    /// 101 that was not asked for, or in HTTP/1.0.
    SwitchUnasked = 502, "switch_unasked", "RFC 9110 15.2.2",
        "the answer switches protocols and nobody asked for that";
    /// 101 without Upgrade.
    SwitchUnnamed = 502, "switch_unnamed", "RFC 9110 7.8",
        "the answer switches protocols and does not say to which";
    /// A 1xx or 204 with Transfer-Encoding or a Content-Length over 0.
    BodyUnexpected = 502, "body_unexpected", "RFC 9112 6.3", "an answer that has no body announces one";
    /// Empty, signed, prefixed, spaced, or too long.
    ChunkSize = 400, "chunk_size", "RFC 9112 7.1", "a chunk size is not 1 to 16 hexadecimal digits";
    /// Over [`super::limits::Limits::chunk_line`], or over 16 KiB of extensions in one body.
    ChunkLineTooLong = 400, "chunk_line_too_long", "RFC 9112 7.1.1",
        "a chunk's size line or all chunk extensions together are longer than this proxy takes";
    /// A control in a chunk extension.
    ChunkExtension = 400, "chunk_extension", "RFC 9112 7.1.1", "a chunk extension holds a control character";
    /// A bare CR or LF in a size line.
    ChunkLine = 400, "chunk_line", "RFC 9112 7.1", "a chunk's size line does not end in CRLF";
    /// Chunk data longer or shorter than announced.
    ChunkEnd = 400, "chunk_end", "RFC 9112 7.1", "no CRLF follows the data of a chunk";
    /// Chunks over what [`super::body::BodyReader::at_most`] allows.
    ContentTooLarge = 413, "content_too_large", "RFC 9110 15.5.14",
        "the content of the request is longer than this proxy takes here";
    /// Over [`super::limits::Limits::trailers`].
    TrailersTooLarge = 431, "trailers_too_large", "RFC 6585 5",
        "the trailer section is larger than this proxy takes";
    /// The peer closed in the middle.
    Incomplete = 400, "incomplete", "RFC 9112 8", "the connection ended before the message did";
}

impl Refusal {
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
