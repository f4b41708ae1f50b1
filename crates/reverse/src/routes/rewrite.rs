//! What becomes of a path: rewritten for the upstream, or put into the address of a redirect.
//!
//! A template is text with `$1` to `$9` (what each `*` of the route's pattern took), `$host` (the host that was asked, with
//! its port), `$uri` (path and query as they came) and `$$`. A redirect never leaves for another host unless its template
//! says so: a path that a capture would make begin with `//` or `/\` loses what is too much (RFC 3986 section 4.2 would
//! read a host there). Not here: which route applies.

use super::path::Seen;
use super::pattern::{Captures, PathPattern};

/// A text with places for parts of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Piece]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Capture(usize),
    Host,
    Uri,
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Something else behind `$`.
    #[error("behind $ stands 1 to 9, host, uri or another $")]
    Variable,
    /// Controls, spaces, and what is not ASCII.
    #[error("an address is visible ASCII without spaces")]
    Character,
    /// Neither a path nor an address.
    #[error("an address begins with /, $, http:// or https://")]
    Start,
    /// A capture directly behind the host would be a part of it.
    #[error("between the host of an address and what a * took stands a /")]
    OpenHost,
}

/// What a template is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// What each `*` took.
    pub captures: Captures<'a>,
    /// Host and port that were asked.
    pub host: &'a [u8],
    /// Path and query as they came.
    pub uri: &'a [u8],
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`]
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TemplateError::Character);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            push_text(&mut pieces, before);
            let (piece, behind) = variable(behind)?;
            pieces.push(piece);
            rest = behind;
        }
        push_text(&mut pieces, rest);
        Ok(Self(pieces.into()))
    }

    /// Appends the text.
    pub fn render(&self, filling: &Filling<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            out.extend_from_slice(match piece {
                Piece::Text(text) => text,
                Piece::Capture(n) => filling.captures.get(*n),
                Piece::Host => filling.host,
                Piece::Uri => filling.uri,
            });
        }
    }

    fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    fn ends_with_slash(&self) -> bool {
        matches!(self.0.last(), Some(Piece::Text(text)) if text.ends_with(b"/"))
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.as_bytes().into()));
    }
}

fn variable(behind: &str) -> Result<(Piece, &str), TemplateError> {
    for (word, piece) in
        [("host", Piece::Host), ("uri", Piece::Uri), ("$", Piece::Text(b"$".as_slice().into()))]
    {
        if let Some(rest) = behind.strip_prefix(word) {
            return Ok((piece, rest));
        }
    }
    let mut rest = behind.chars();
    match rest.next().and_then(|digit| digit.to_digit(10)) {
        Some(digit @ 1..=9) => Ok((Piece::Capture(digit as usize), rest.as_str())),
        Some(_) | None => Err(TemplateError::Variable),
    }
}

/// The target of a redirect, and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: RedirectStatus,
    to: Template,
    leaves: bool,
}

/// How a redirect is told, RFC 9110 section 15.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedirectStatus {
    /// 301: for good; a POST becomes a GET.
    Moved,
    /// 302: for now; a POST becomes a GET. The default.
    #[default]
    Found,
    /// 307: for now; the method stays.
    Temporary,
    /// 308: for good; the method stays.
    Permanent,
}

impl RedirectStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Moved => 301,
            Self::Found => 302,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl Redirect {
    /// A redirect to `to`. Where that names no variable and ends with `/`, and the route's pattern ends with `*`, what that
    /// took is appended: `/old/*` to `/new/` keeps the rest. The query stays unless `to` has one.
    ///
    /// # Errors
    /// [`TemplateError`]
    pub fn parse(to: &str, status: RedirectStatus) -> Result<Self, TemplateError> {
        let template = Template::parse(to)?;
        let leaves = to.starts_with("http://") || to.starts_with("https://") || to.starts_with("//");
        if !leaves && !to.starts_with(['/', '$']) {
            return Err(TemplateError::Start);
        }
        let behind_scheme = to.split_once("//").map_or("", |(_scheme, rest)| rest);
        let host = behind_scheme.split('/').next().unwrap_or_default();
        if leaves && (1..=9).any(|n| host.contains(&format!("${n}"))) {
            return Err(TemplateError::OpenHost);
        }
        Ok(Self { status, to: template, leaves })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> RedirectStatus {
        self.status
    }

    /// Appends the value of Location to `out`.
    pub fn location(&self, seen: &Seen<'_>, host: &[u8], pattern: &PathPattern, out: &mut Vec<u8>) {
        let uri = [seen.path, seen.query].concat();
        let filling = Filling { captures: pattern.captures(seen.path), host, uri: &uri };
        let begin = out.len();
        self.to.render(&filling, out);
        if self.to.is_fixed() && self.to.ends_with_slash() && pattern.has_tail() {
            let tail = filling.captures.last();
            out.extend_from_slice(tail.strip_prefix(b"/").unwrap_or(tail));
        }
        let written = out.get(begin..).unwrap_or_default();
        let has_query = written.contains(&b'?') || self.to.0.contains(&Piece::Uri);
        if !has_query {
            out.extend_from_slice(seen.query);
        }
        if !self.leaves {
            stay_here(out, begin);
        }
    }
}

/// Makes a path of what would be read as a host.
fn stay_here(out: &mut Vec<u8>, begin: usize) {
    let path = out.get(begin..).unwrap_or_default();
    let lead = path.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    if lead != 1 || !path.starts_with(b"/") {
        let rest = path.get(lead..).unwrap_or_default().to_vec();
        out.truncate(begin);
        out.push(b'/');
        out.extend(rest);
    }
}

/// How the path changes on its way to the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rewrite {
    /// Not at all. The default.
    #[default]
    None,
    /// This is taken from its front, where it stands there; a `/` is left.
    Strip(Box<[u8]>),
    /// This is put before it. Begins with `/`, does not end with one.
    Add(Box<[u8]>),
    /// This stands in its place.
    To(Template),
}

impl Rewrite {
    /// Writes path and query for the upstream to `out`; nothing when they go on as they came.
    pub fn write(&self, seen: &Seen<'_>, host: &[u8], pattern: &PathPattern, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::None if !seen.had_dots => return,
            Self::None => out.extend_from_slice(seen.path),
            Self::Strip(prefix) => {
                let rest = seen.path.strip_prefix(&**prefix).unwrap_or(seen.path);
                if !rest.starts_with(b"/") {
                    out.push(b'/');
                }
                out.extend_from_slice(rest);
            }
            Self::Add(prefix) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(seen.path);
            }
            Self::To(template) => {
                let filling = Filling { captures: pattern.captures(seen.path), host, uri: seen.path };
                template.render(&filling, out);
            }
        }
        if !out.contains(&b'?') {
            out.extend_from_slice(seen.query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::{Scratch, see};
    use super::*;

    fn location(pattern: &str, to: &str, target: &str) -> String {
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let seen = see(target.as_bytes(), &mut scratch).unwrap();
        let redirect = Redirect::parse(to, RedirectStatus::Found).unwrap();
        redirect.location(&seen, b"a.example:8080", &PathPattern::parse(pattern).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn redirects_keep_what_they_should_and_stay_on_their_host() {
        for (pattern, to, target, wanted) in [
            ("/old/*", "/new/", "/old/a/b?c=d", "/new/a/b?c=d"),
            ("/old/*", "/new", "/old/a", "/new"),
            ("/old/*", "/new/$1", "/old/a?c", "/new/a?c"),
            ("/old/*", "/new/?p=$1", "/old/a?c", "/new/?p=a"),
            ("/old/*", "/$1", "/old//evil.example", "/evil.example"),
            ("/old*", "/$1", "/old/evil.example", "/evil.example"),
            ("/old*", "$1", "/old\\evil.example", "/evil.example"),
            ("/old*", "/$1", "/old\\/evil.example", "/evil.example"),
            ("/old/*", "https://b.example/$1", "/old/a", "https://b.example/a"),
            ("*", "https://$host$uri", "/x?y=z", "https://a.example:8080/x?y=z"),
            ("*", "/cost$$", "/x", "/cost$"),
            ("/a", "/b/", "/a", "/b/"),
        ] {
            assert_eq!(location(pattern, to, target), wanted, "{pattern} {to} {target}");
        }
    }

    #[test]
    fn what_is_no_redirect_says_why() {
        for (text, why) in [
            ("/a$", TemplateError::Variable),
            ("/a$0", TemplateError::Variable),
            ("/a b", TemplateError::Character),
            ("/a\r\nb", TemplateError::Character),
            ("new", TemplateError::Start),
            ("https://b.example$1", TemplateError::OpenHost),
            ("javascript:x", TemplateError::Start),
        ] {
            assert_eq!(Redirect::parse(text, RedirectStatus::Found), Err(why), "{text}");
        }
    }

    #[test]
    fn paths_are_rewritten_for_the_upstream() {
        let strip = Rewrite::Strip(b"/api".as_slice().into());
        let add = Rewrite::Add(b"/v2".as_slice().into());
        let to = Rewrite::To(Template::parse("/x/$1").unwrap());
        for (rewrite, target, wanted) in [
            (&Rewrite::None, "/api//a?b", ""),
            (&Rewrite::None, "/api/x/../a?b", "/api/a?b"),
            (&strip, "/api/a?b", "/a?b"),
            (&strip, "/api", "/"),
            (&strip, "/%61pi/a", "/a"),
            (&strip, "/other", "/other"),
            (&add, "/api/a?b", "/v2/api/a?b"),
            (&to, "/api/a/b?c", "/x/a/b?c"),
        ] {
            let (mut scratch, mut out) = (Scratch::default(), Vec::new());
            let seen = see(target.as_bytes(), &mut scratch).unwrap();
            rewrite.write(&seen, b"h", &PathPattern::parse("/api/*").unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{rewrite:?} {target}");
        }
    }
}
