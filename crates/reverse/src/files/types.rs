//! Content types by the ending of a file's name.
//!
//! Text is said to be UTF-8. What is not in the list is octets, which browsers store instead of guessing.

/// The value of Content-Type for a file of this name.
pub(super) fn content_type(name: &[u8]) -> &'static str {
    let dot = name.iter().rposition(|byte| *byte == b'.').map_or(name.len(), |at| at + 1);
    let mut ending = [0; LONGEST];
    let given = name.get(dot..).unwrap_or_default();
    let Some(ending) = ending.get_mut(..given.len()) else { return OCTETS };
    ending.copy_from_slice(given);
    ending.make_ascii_lowercase();
    let found = TYPES.binary_search_by(|(known, _)| known.as_bytes().cmp(ending));
    found.ok().and_then(|at| TYPES.get(at)).map_or(OCTETS, |(_, content_type)| content_type)
}

const OCTETS: &str = "application/octet-stream";
const LONGEST: usize = 11;

/// Sorted by ending.
const TYPES: [(&str, &str); 56] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("atom", "application/atom+xml; charset=utf-8"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("doc", "application/msword"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml; charset=utf-8"),
    ("svg", "image/svg+xml; charset=utf-8"),
    ("tar", "application/x-tar"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml; charset=utf-8"),
    ("xml", "application/xml; charset=utf-8"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml; charset=utf-8"),
    ("zip", "application/zip"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_the_last_ending() {
        for (name, wanted) in [
            ("index.html", "text/html; charset=utf-8"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("site.webmanifest", "application/manifest+json"),
            ("README", OCTETS),
            ("a.", OCTETS),
            (".html", "text/html; charset=utf-8"),
            ("a.webmanifests", OCTETS),
            ("a.exe", OCTETS),
        ] {
            assert_eq!(content_type(name.as_bytes()), wanted, "{name}");
        }
        for (ending, content_type) in TYPES {
            assert_eq!(super::content_type(format!("a.{ending}").as_bytes()), content_type);
        }
    }
}
