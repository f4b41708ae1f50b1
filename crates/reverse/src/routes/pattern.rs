//! Patterns of paths: literal text with `*` for any run of characters, slashes included.
//!
//! | Pattern | Matches |
//! |---|---|
//! | `*` | everything |
//! | `/a` | `/a` alone |
//! | `/api/*` | `/api/` and all below it, and `/api` itself: what guards a folder guards its name |
//! | `*.php` | every path that ends so |
//! | `/u/*/photo/*` | each `*` takes as little as it can, the last one the rest |
//!
//! Compared with paths as `path.rs` sees them, case and all; patterns are brought into the same spelling. What each `*`
//! took is its capture, from `$1` to `$9`. Not here: queries, hosts.

use super::path::{BadPath, Scratch, see};

/// Most `*` in a pattern.
pub const MAX_CAPTURES: usize = 9;

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(Box<[u8]>),
    /// The text before the only `*`, which is at the end.
    Prefix(Box<[u8]>),
    /// The text behind the only `*`, which is at the start.
    Suffix(Box<[u8]>),
    /// The texts around several `*`, or around one in the middle: at least two.
    Glob(Box<[Box<[u8]>]>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It begins with neither.
    #[error("a path pattern begins with / or *")]
    Start,
    /// A query or fragment.
    #[error("a path pattern has no ? and no #")]
    Query,
    /// No path looks like this.
    #[error("no path that is let in looks like this pattern: {}", .0.word())]
    Never(BadPath),
    /// Dot segments.
    #[error("a path pattern has no dot segments")]
    Dots,
    /// More than nine.
    #[error("a path pattern has at most {MAX_CAPTURES} *")]
    Stars,
}

/// What each `*` took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captures<'p> {
    taken: [&'p [u8]; MAX_CAPTURES],
    count: usize,
}

impl<'p> Captures<'p> {
    fn push(&mut self, text: &'p [u8]) {
        if let Some(slot) = self.taken.get_mut(self.count) {
            *slot = text;
            self.count += 1;
        }
    }

    /// The `n`th, from 1; empty when there is none.
    #[must_use]
    pub fn get(&self, n: usize) -> &'p [u8] {
        n.checked_sub(1).and_then(|at| self.taken.get(at)).copied().unwrap_or_default()
    }

    /// What the last `*` took.
    #[must_use]
    pub fn last(&self) -> &'p [u8] {
        self.get(self.count)
    }
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] when it is none, or one that nothing could match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with(['/', '*']) {
            return Err(PatternError::Start);
        }
        if text.contains(['?', '#']) {
            return Err(PatternError::Query);
        }
        let mut scratch = Scratch::default();
        let rooted = if text.starts_with('*') { format!("/{text}") } else { text.to_owned() };
        let seen = see(rooted.as_bytes(), &mut scratch).map_err(PatternError::Never)?;
        if seen.had_dots {
            return Err(PatternError::Dots);
        }
        let path = if text.starts_with('*') { seen.path.get(1..).unwrap_or_default() } else { seen.path };
        let texts: Vec<Box<[u8]>> = path.split(|byte| *byte == b'*').map(Box::from).collect();
        if texts.len() > MAX_CAPTURES + 1 {
            return Err(PatternError::Stars);
        }
        Ok(Self(kind_of(texts)))
    }

    /// Everything.
    #[must_use]
    pub const fn any() -> Self {
        Self(Kind::Any)
    }

    /// Whether a path matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(text) => path == &**text,
            Kind::Prefix(text) => path.starts_with(text) || is_folder(text, path),
            Kind::Suffix(text) => path.ends_with(text),
            Kind::Glob(texts) => glob(texts, path, &mut Captures::default()),
        }
    }

    /// What each `*` took of a path that matches; nothing when it does not.
    #[must_use]
    pub fn captures<'p>(&self, path: &'p [u8]) -> Captures<'p> {
        let mut captures = Captures::default();
        match &self.0 {
            Kind::Any => captures.push(path),
            Kind::Exact(_) => {}
            Kind::Prefix(text) => captures.push(path.get(text.len()..).unwrap_or_default()),
            Kind::Suffix(text) => {
                let end = path.len().saturating_sub(text.len());
                captures.push(path.get(..end).unwrap_or_default());
            }
            Kind::Glob(texts) => {
                let _matched: bool = glob(texts, path, &mut captures);
            }
        }
        captures
    }

    /// Whether it ends in `*`, so that there is a tail to speak of.
    #[must_use]
    pub fn has_tail(&self) -> bool {
        match &self.0 {
            Kind::Any | Kind::Prefix(_) => true,
            Kind::Exact(_) | Kind::Suffix(_) => false,
            Kind::Glob(texts) => texts.last().is_some_and(|text| text.is_empty()),
        }
    }
}

fn kind_of(texts: Vec<Box<[u8]>>) -> Kind {
    match texts.as_slice() {
        [text] => Kind::Exact(text.clone()),
        [before, behind] if before.is_empty() && behind.is_empty() => Kind::Any,
        [before, behind] if matches!(&**before, [] | [b'/']) && behind.is_empty() => Kind::Any,
        [before, behind] if behind.is_empty() => Kind::Prefix(before.clone()),
        [before, behind] if before.is_empty() => Kind::Suffix(behind.clone()),
        _ => Kind::Glob(texts.into()),
    }
}

/// Whether `path` is the folder that `prefix` (with its slash) is about.
fn is_folder(prefix: &[u8], path: &[u8]) -> bool {
    prefix.strip_suffix(b"/").is_some_and(|folder| folder == path)
}

fn glob<'p>(texts: &[Box<[u8]>], path: &'p [u8], captures: &mut Captures<'p>) -> bool {
    let [first, middle @ .., last] = texts else { return false };
    // The folder's own name counts where the pattern ends in "/*".
    let Some(mut rest) = path.strip_prefix(&**first) else { return false };
    for text in middle {
        let Some(at) = memchr::memmem::find(rest, text) else {
            let is_last_folder = last.is_empty()
                && middle.last().is_some_and(|end| std::ptr::eq(end, text))
                && text.strip_suffix(b"/").is_some_and(|folder| !folder.is_empty() && rest.ends_with(folder));
            if is_last_folder {
                captures.push(rest.get(..rest.len() + 1 - text.len()).unwrap_or_default());
                captures.push(&[]);
            }
            return is_last_folder;
        };
        let (taken, behind) = rest.split_at_checked(at).unwrap_or_default();
        captures.push(taken);
        rest = behind.get(text.len()..).unwrap_or_default();
    }
    match rest.strip_suffix(&**last) {
        Some(taken) => captures.push(taken),
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_the_table_says() {
        for (pattern, path, captures) in [
            ("*", "/a/b", Some("/a/b")),
            ("/*", "/a/b", Some("/a/b")),
            ("/a", "/a", Some("")),
            ("/a", "/a/", None),
            ("/a", "/A", None),
            ("/%61", "/a", Some("")),
            ("/api/*", "/api/", Some("")),
            ("/api/*", "/api", Some("")),
            ("/api/*", "/api/x/y", Some("x/y")),
            ("/api/*", "/apix", None),
            ("/api*", "/apix", Some("x")),
            ("/api*", "/ap", None),
            ("*.php", "/a/b.php", Some("/a/b")),
            ("*.php", "/a/b.php5", None),
            ("/u/*/photo/*", "/u/me/photo/1/2", Some("me|1/2")),
            ("/u/*/photo/*", "/u/me/photo", Some("me|")),
            ("/u/*/photo/*", "/u/me/phot", None),
            ("/u/*/photo/*", "/u/photo/1", None),
            ("/u/*.png", "/u/a.png.png", Some("a.png")),
            ("/u/*.png", "/u/.png", Some("")),
            ("/u/*.png", "/u/png", None),
            ("*/x/*", "/a/x/b", Some("/a|b")),
            ("/a*a", "/a", None),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            let found = parsed.captures(path.as_bytes());
            let texts: Vec<_> =
                found.taken[..found.count].iter().map(|text| str::from_utf8(text).unwrap()).collect();
            let wanted = captures.is_some();
            assert_eq!(parsed.matches(path.as_bytes()), wanted, "{pattern} {path}");
            if let Some(captures) = captures {
                let wanted = if pattern.contains('*') { texts.join("|") } else { String::new() };
                assert_eq!(wanted, captures, "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, why) in [
            ("a", PatternError::Start),
            ("", PatternError::Start),
            ("/a?b", PatternError::Query),
            ("/a/../b", PatternError::Dots),
            ("/%", PatternError::Never(BadPath::Percent)),
            ("/**********", PatternError::Stars),
        ] {
            assert_eq!(PathPattern::parse(text), Err(why), "{text}");
        }
    }
}
