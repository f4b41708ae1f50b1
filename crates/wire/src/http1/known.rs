//! Names of fields that the proxy, or a level of headers, acts on.
//!
//! A name is found by its length and two of its bytes in a table that the compiler builds and proves free of
//! collisions, then compared without regard to case (RFC 9110 section 5.1). What a field means is not here.

macro_rules! known {
    ($($variant:ident = $text:literal,)*) => {
        /// A field name with an id. The discriminant counts from 0 without gaps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Known {
            $(
                #[doc = concat!("`", $text, "`")]
                $variant,
            )*
        }

        impl Known {
            /// Every known name, by id.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The usual spelling.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

known! {
    Accept = "Accept",
    AcceptCharset = "Accept-Charset",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptRanges = "Accept-Ranges",
    AccessControlAllowOrigin = "Access-Control-Allow-Origin",
    Age = "Age",
    Allow = "Allow",
    AltSvc = "Alt-Svc",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    CacheStatus = "Cache-Status",
    Connection = "Connection",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentLocation = "Content-Location",
    ContentRange = "Content-Range",
    ContentSecurityPolicy = "Content-Security-Policy",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    Dnt = "DNT",
    Etag = "ETag",
    Expect = "Expect",
    Expires = "Expires",
    Forwarded = "Forwarded",
    From = "From",
    Host = "Host",
    Http2Settings = "HTTP2-Settings",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    KeepAlive = "Keep-Alive",
    LastModified = "Last-Modified",
    Link = "Link",
    Location = "Location",
    MaxForwards = "Max-Forwards",
    Origin = "Origin",
    Pragma = "Pragma",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyConnection = "Proxy-Connection",
    ProxyStatus = "Proxy-Status",
    Range = "Range",
    Referer = "Referer",
    RetryAfter = "Retry-After",
    SecWebsocketAccept = "Sec-WebSocket-Accept",
    SecWebsocketKey = "Sec-WebSocket-Key",
    Server = "Server",
    SetCookie = "Set-Cookie",
    StrictTransportSecurity = "Strict-Transport-Security",
    Te = "TE",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UpgradeInsecureRequests = "Upgrade-Insecure-Requests",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
    XForwardedFor = "X-Forwarded-For",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedProto = "X-Forwarded-Proto",
    XRealIp = "X-Real-IP",
}

impl Known {
    /// The id of a name in any spelling.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<Self> {
        let [first, .., last] = name else { return None };
        let slot = SLOTS.get(usize::from(slot_of(name.len(), *first, *last)))?;
        let candidate = (*slot)?;
        let usual = candidate.name().as_bytes();
        (usual == name || usual.eq_ignore_ascii_case(name)).then_some(candidate)
    }
}

/// Spreads the names over the slots. The factors were found by trial; [`table`] proves that they fit.
#[expect(clippy::cast_possible_truncation, reason = "a hash: only the low eight bits count")]
const fn slot_of(len: usize, first: u8, last: u8) -> u8 {
    (len as u8)
        .wrapping_mul(46)
        .wrapping_add((first | 0x20).wrapping_mul(87))
        .wrapping_add((last | 0x20).wrapping_mul(121))
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where a wrong index is an error of the build"
)]
const fn table() -> [Option<Known>; 256] {
    let mut slots = [None; 256];
    let mut id = 0;
    while id < Known::COUNT {
        let known = Known::ALL[id];
        let name = known.name().as_bytes();
        let slot = slot_of(name.len(), name[0], name[name.len() - 1]) as usize;
        assert!(slots[slot].is_none(), "two known names share a slot: find other factors");
        slots[slot] = Some(known);
        id += 1;
    }
    slots
}

static SLOTS: [Option<Known>; 256] = const { table() };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_spelling() {
        for (id, known) in Known::ALL.iter().enumerate() {
            assert_eq!(*known as usize, id);
            for spelling in
                [known.name().to_owned(), known.name().to_lowercase(), known.name().to_uppercase()]
            {
                assert_eq!(Known::find(spelling.as_bytes()), Some(*known), "{spelling}");
            }
        }
    }

    #[test]
    fn names_that_differ_in_one_byte_are_not_found() {
        for known in Known::ALL {
            for at in 0..known.name().len() {
                let mut name = known.name().as_bytes().to_vec();
                name[at] = b'_';
                assert_eq!(Known::find(&name), None, "{known:?} at {at}");
            }
        }
        for name in ["", "x", "xx", "content-lengt", "content-length ", "\u{212a}eep-alive"] {
            assert_eq!(Known::find(name.as_bytes()), None, "{name}");
        }
    }
}
