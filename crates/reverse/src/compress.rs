//! Content codings: which one a client takes (RFC 9110 section 12.5.3), and whole texts in them.
//!
//! gzip (RFC 1952), br (RFC 7932) and zstd (RFC 8878). Whole texts are what is made here: files and fixed answers; that is
//! work of milliseconds, so call [`Coding::compress`] off the shards. What comes from an upstream is coded while it passes,
//! where a site asks for it: [`Compression`] judges answers, `stream.rs` codes them. Not here: the flow (`http`).

mod passing;
mod stream;

pub use passing::Compression;

use std::io::Write as _;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// `zstd`
    Zstd,
    /// `br`
    Brotli,
    /// `gzip`
    Gzip,
}

impl Coding {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The coding of this word, as in Content-Encoding and in the configuration.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.word() == word)
    }

    /// The word in Content-Encoding.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// A text in this coding; `None` when that would not be shorter.
    #[must_use]
    pub fn compress(self, text: &[u8]) -> Option<Vec<u8>> {
        let coded = match self {
            Self::Zstd => zstd::bulk::compress(text, ZSTD_LEVEL).ok()?,
            Self::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).ok()?;
                encoder.finish().ok()?
            }
            Self::Brotli => {
                let mut out = Vec::new();
                let mut encoder =
                    brotli::CompressorWriter::new(&mut out, 4_096, BROTLI_QUALITY, BROTLI_WINDOW);
                encoder.write_all(text).ok()?;
                encoder.flush().ok()?;
                drop(encoder);
                out
            }
        };
        (coded.len() < text.len()).then_some(coded)
    }
}

/// The one of `offered` that a client likes best, of those it likes equally the first. `accept` are the values of
/// Accept-Encoding; without any, and where the client prefers it, content leaves as it is.
#[must_use]
pub fn choose(accept: &[&[u8]], offered: impl Iterator<Item = Coding>) -> Option<Coding> {
    let liked = |coding: Coding| weight(accept, coding.word());
    let best = offered.map(|coding| (liked(coding), coding)).filter(|(weight, _)| *weight > 0);
    let (weight_of_best, coding) = best.reduce(|best, other| if other.0 > best.0 { other } else { best })?;
    let plain = weight(accept, "identity");
    (weight_of_best >= plain).then_some(coding)
}

/// How much a client likes a coding, in thousandths. What is not named is as `*` says; without that 0.
fn weight(accept: &[&[u8]], word: &str) -> u16 {
    let mut any = None;
    for member in accept.iter().flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        let weight = q.map_or(1_000, thousandths);
        if name.eq_ignore_ascii_case(word.as_bytes())
            || (word == "gzip" && name.eq_ignore_ascii_case(b"x-gzip"))
        {
            return weight;
        }
        if name == b"*" {
            any = Some(weight);
        }
    }
    any.unwrap_or(0)
}

/// RFC 9110 section 12.4.2: 0 to 1 with up to three digits behind the point. Anything else counts as no.
fn thousandths(text: &[u8]) -> u16 {
    let parsed =
        str::from_utf8(text).ok().filter(|text| text.len() <= 5).and_then(|text| text.parse::<f32>().ok());
    let inside = parsed.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1,000")]
    let weight = (inside * 1_000.0) as u16;
    weight
}

/// Whether content of this type and length gets shorter by enough.
#[must_use]
pub fn is_worth_it(content_type: &str, length: usize) -> bool {
    is_text(essence(content_type.as_bytes())) && length >= LEAST
}

/// A media type without its parameters: RFC 9110 section 8.3.1.
fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether content of this type gets shorter. gRPC codes its messages itself.
fn is_text(essence: &[u8]) -> bool {
    let begins = |start: &[u8]| essence.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
    let ends = |end: &[u8]| {
        let from = essence.len().checked_sub(end.len());
        from.and_then(|from| essence.get(from..)).is_some_and(|it| it.eq_ignore_ascii_case(end))
    };
    let named = || TEXTS.iter().any(|text| essence.eq_ignore_ascii_case(text.as_bytes()));
    let coded_already = begins(b"application/grpc");
    !coded_already && (begins(b"text/") || ends(b"+json") || ends(b"+xml") || named())
}

/// Less than this fits a packet either way.
const LEAST: usize = 1_024;
/// Levels where a step more costs more time than it saves.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 6;
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 20;

const TEXTS: [&str; 8] = [
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/wasm",
    "application/xml",
    "application/x-yaml",
    "font/ttf",
    "image/x-icon",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_client_gets_the_best_of_what_it_takes() {
        for (accept, chosen) in [
            ("", None),
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("GZIP;q=1.0, br;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=2", None),
            ("gzip ; q=0.001", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("*, zstd;q=0", Some(Coding::Brotli)),
            ("identity, gzip;q=0.5", None),
            ("gzip;q=0.5, identity;q=0.5", Some(Coding::Gzip)),
            ("deflate", None),
        ] {
            assert_eq!(choose(&[accept.as_bytes()], Coding::ALL.into_iter()), chosen, "{accept}");
        }
        let own_order = [Coding::Gzip, Coding::Brotli].into_iter();
        assert_eq!(choose(&[b"gzip, br"], own_order.clone()), Some(Coding::Gzip));
        assert_eq!(choose(&[b"gzip;q=0.9, br, zstd"], own_order), Some(Coding::Brotli));
    }

    #[test]
    fn what_was_coded_is_the_same_text_again() {
        let text = b"hello, hello, hello. ".repeat(200);
        for coding in Coding::ALL {
            let coded = coding.compress(&text).unwrap();
            assert!(coded.len() < text.len() / 4, "{coding:?}");
            let mut plain = Vec::new();
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&*coded).read_to_end(&mut plain).unwrap(),
                Coding::Brotli => brotli::Decompressor::new(&*coded, 4_096).read_to_end(&mut plain).unwrap(),
                Coding::Zstd => {
                    zstd::stream::read::Decoder::new(&*coded).unwrap().read_to_end(&mut plain).unwrap()
                }
            };
            assert_eq!(plain, text, "{coding:?}");
            assert_eq!(coding.compress(b"x"), None);
        }
    }

    #[test]
    fn pictures_and_short_texts_are_left_alone() {
        for (content_type, length, worth) in [
            ("text/html; charset=utf-8", 5_000, true),
            ("application/ld+json", 5_000, true),
            ("image/svg+xml", 5_000, true),
            ("Text/HTML", 5_000, true),
            ("application/Problem+JSON ; a=b", 5_000, true),
            ("application/grpc+json", 5_000, false),
            ("json", 5_000, false),
            ("text/html", 500, false),
            ("image/png", 5_000, false),
            ("application/zip", 5_000, false),
        ] {
            assert_eq!(is_worth_it(content_type, length), worth, "{content_type} {length}");
        }
    }
}
