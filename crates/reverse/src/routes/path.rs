//! Request paths as routes see them: one spelling for each path, and a refusal for what servers read differently.
//!
//! RFC 3986 section 6.2.2: percent-encoded unreserved characters are decoded, other triplets written in capitals, dot
//! segments removed (section 5.2.4), and runs of slashes count as one, as most servers have it. `%2F` stays a character of
//! its segment. Refused, because a server behind may see other segments than we do: a broken triplet, `%00`, a dot
//! segment that shows only once `%2F`, `%5C` or `\` are taken for a slash, and `..;x` (a parameter to some servers). What
//! goes on is the path as it was sent, unless it held dot segments: then the one that was judged. Not here: routes.

/// Why a path is refused, with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    /// `%` without two hexadecimal digits behind it.
    Percent,
    /// `%00`.
    Nul,
    /// A dot segment that only some servers would see.
    HiddenDots,
}

impl BadPath {
    /// A stable word for `Proxy-Status` details.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Percent => "path_percent",
            Self::Nul => "path_nul",
            Self::HiddenDots => "path_dots",
        }
    }

    /// One sentence for the client.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Percent => "The path holds a % that no two hexadecimal digits follow.",
            Self::Nul => "The path holds an encoded NUL.",
            Self::HiddenDots => "The path holds dot segments in a form that servers read differently.",
        }
    }
}

/// Memory for paths that have to be rewritten; kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    decoded: Vec<u8>,
    clean: Vec<u8>,
}

/// A path and query, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The path that routes are compared with. Begins with `/`.
    pub path: &'a [u8],
    /// `?` and all behind it; empty when there is no query.
    pub query: &'a [u8],
    /// The path held dot segments: the cleaned one is what goes on.
    pub had_dots: bool,
}

/// Takes the path and query of a request apart. A path that does not begin with `/` gets one.
///
/// # Errors
/// [`BadPath`] when it has no single meaning.
pub fn see<'a>(target: &'a [u8], scratch: &'a mut Scratch) -> Result<Seen<'a>, BadPath> {
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).unwrap_or((target, &[]));
    if is_plain(path) {
        return Ok(Seen { path, query, had_dots: false });
    }
    decode(path, &mut scratch.decoded)?;
    if scratch.decoded.split(|byte| *byte == b'/').any(hides_dots) {
        return Err(BadPath::HiddenDots);
    }
    let had_dots = clean(&scratch.decoded, &mut scratch.clean);
    Ok(Seen { path: &scratch.clean, query, had_dots })
}

/// The usual case: nothing in it could be written in another way.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    path.first() == Some(&b'/')
        && path.iter().all(|byte| {
            let odd = matches!((before, *byte), (_, b'%' | b'\\') | (b'/', b'/' | b'.'));
            before = *byte;
            !odd
        })
}

fn decode(path: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    out.clear();
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, behind @ ..] = rest else { return Err(BadPath::Percent) };
        rest = behind;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let value = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low);
        match value.ok_or(BadPath::Percent)? {
            0 => return Err(BadPath::Nul),
            value if is_unreserved(value) => out.push(value),
            _reserved => out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    Ok(())
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a segment is, or has within it, a dot segment to somebody else.
fn hides_dots(segment: &[u8]) -> bool {
    if matches!(segment, [b'.', b';', ..] | [b'.', b'.', b';', ..]) {
        return true;
    }
    let mut rest = segment;
    let mut within = false;
    loop {
        let (part, behind) = until_separator(rest);
        within |= behind.is_some();
        if within && matches!(part, b"." | b".." | [b'.', b';', ..] | [b'.', b'.', b';', ..]) {
            return true;
        }
        match behind {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
}

/// What stands before the first thing that could be taken for a slash, and what stands behind it.
fn until_separator(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    for at in 0..text.len() {
        let (part, rest) = text.split_at_checked(at).unwrap_or_default();
        match rest {
            [b'\\', behind @ ..] | [b'%', b'2', b'F', behind @ ..] | [b'%', b'5', b'C', behind @ ..] => {
                return (part, Some(behind));
            }
            _ => {}
        }
    }
    (text, None)
}

/// Removes dot segments and joins slashes. Says whether there were dot segments.
fn clean(path: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut had_dots = false;
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" => {}
            b"." => had_dots = true,
            b".." => {
                had_dots = true;
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            out.push(b'/');
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    had_dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn seen(target: &str) -> Result<String, BadPath> {
        let mut scratch = Scratch::default();
        let seen = see(target.as_bytes(), &mut scratch)?;
        let text = String::from_utf8([seen.path, seen.query].concat()).unwrap();
        Ok(if seen.had_dots { format!("{text} (dots)") } else { text })
    }

    #[test]
    fn every_path_has_one_spelling() {
        for (target, path) in [
            ("/", "/"),
            ("/a/b?x=/../%zz", "/a/b?x=/../%zz"),
            ("/%61%2d%7E", "/a-~"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("//a///b//", "/a/b/"),
            ("//", "/"),
            ("/a/./b", "/a/b (dots)"),
            ("/a/../b", "/b (dots)"),
            ("/a/%2e%2E/b", "/b (dots)"),
            ("/a/b/..", "/a/ (dots)"),
            ("/a/.", "/a/ (dots)"),
            ("/../../etc", "/etc (dots)"),
            ("/..", "/ (dots)"),
            ("/a//../b", "/b (dots)"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a;b=c/d", "/a;b=c/d"),
            ("/a\\b", "/a\\b"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("a", "/a"),
        ] {
            assert_eq!(seen(target).as_deref(), Ok(path), "{target}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (target, why) in [
            ("/%", BadPath::Percent),
            ("/%2", BadPath::Percent),
            ("/%zz", BadPath::Percent),
            ("/a%00.html", BadPath::Nul),
            ("/a%2f..%2fb", BadPath::HiddenDots),
            ("/a%2F%2e%2e", BadPath::HiddenDots),
            ("/..%2fa", BadPath::HiddenDots),
            ("/..%5ca", BadPath::HiddenDots),
            ("/a\\..\\b", BadPath::HiddenDots),
            ("/a/..\\b", BadPath::HiddenDots),
            ("/a%5c.", BadPath::HiddenDots),
            ("/..;/a", BadPath::HiddenDots),
            ("/a/%2e.;x=y/b", BadPath::HiddenDots),
            ("/.;/a", BadPath::HiddenDots),
            ("/a\\..;b", BadPath::HiddenDots),
        ] {
            assert_eq!(seen(target), Err(why), "{target}");
        }
    }

    proptest! {
        #[test]
        fn what_is_seen_is_clean_and_looks_the_same_again(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let pieces: [&[u8]; 8] = [b"/", b".", b"..", b"%2e", b"%2F", b"a", b"\\", b"%5c"];
            let target: Vec<u8> = octets.iter().flat_map(|octet| pieces[usize::from(octet % 8)]).copied().collect();
            let (mut scratch, mut again) = (Scratch::default(), Scratch::default());
            if let Ok(seen) = see(&target, &mut scratch) {
                assert!(seen.path.starts_with(b"/"));
                let mut segments = seen.path.split(|byte| *byte == b'/');
                assert!(segments.all(|segment| segment != b"." && segment != b".."));
                assert_eq!(see(seen.path, &mut again).unwrap().path, seen.path);
            }
        }
    }
}
