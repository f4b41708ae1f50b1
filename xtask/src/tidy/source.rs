//! One Rust file with comments and strings told apart from code, and its functions measured.
//!
//! Not a parser: a scanner that knows comments, strings, characters and lifetimes, which is enough to find words
//! and to match braces. Code inside macros counts like any other.

use std::path::PathBuf;

/// A file as text, as bare code, and as bare comments; all three have the same lines.
pub(crate) struct Source {
    /// Place below the root.
    pub(crate) path: PathBuf,
    /// The file as it is.
    pub(crate) text: String,
    /// Comments, strings and characters replaced by blanks.
    pub(crate) code: String,
    /// Only comments; all else replaced by blanks.
    pub(crate) comments: String,
    /// First line, counted from 1, of the tests at the end; beyond the last line when there are none.
    tests_from: usize,
}

/// A function and the lines it takes, from `fn` to its last brace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Line of the word `fn`, counted from 1.
    pub(crate) line: usize,
    /// How many lines it takes.
    pub(crate) lines: usize,
}

#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    /// How deep: block comments nest.
    BlockComment(u32),
    Text,
    /// How many `#` end it.
    RawText(usize),
}

impl Source {
    /// Tells code from comments and strings.
    pub(crate) fn read(path: PathBuf, text: String) -> Self {
        let (code, comments) = split(&text);
        let tests_from = tests_from(&path, &code);
        Self { path, text, code, comments, tests_from }
    }

    /// Whether a line, counted from 1, belongs to tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code.get(..at).unwrap_or_default();
            let after = self.code.get(at + 3..).unwrap_or_default().trim_start();
            let ends = after.find(|c: char| !is_word(c)).unwrap_or(after.len());
            let name = after.get(..ends).unwrap_or_default();
            if name.is_empty() || before.ends_with(is_word) {
                continue;
            }
            if let Some(end) = body_end(after) {
                let line = before.matches('\n').count() + 1;
                let body = after.get(..end).unwrap_or_default();
                found.push(Function { name, line, lines: body.matches('\n').count() + 1 });
            }
        }
        found
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the braces of the function that begins here are closed; none for a declaration without a body.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_u32, 0_u32);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && brackets == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Tests are a file of their own or a module at the end, after `#[cfg(test)]`.
fn tests_from(path: &std::path::Path, code: &str) -> usize {
    let of_tests = path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs");
    if of_tests {
        return 1;
    }
    let mut lines = code.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let next = lines.peek().map_or("", |(_, next)| next.trim_start());
        if line.trim() == "#[cfg(test)]"
            && (next.starts_with("mod ") || next.starts_with("pub(crate) mod ") || next.starts_with("#["))
        {
            return at + 1;
        }
    }
    usize::MAX
}

/// The text twice: without comments and strings, and with comments only.
fn split(text: &str) -> (String, String) {
    let mut code = String::with_capacity(text.len());
    let mut comments = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = state;
        let (next, taken) = advance(state, rest, code.chars().next_back());
        state = next;
        let piece = rest.get(..taken).filter(|piece| !piece.is_empty()).unwrap_or(&rest[..first.len_utf8()]);
        let in_comment = |state| matches!(state, State::LineComment | State::BlockComment(_));
        let is_comment = in_comment(before) || in_comment(state);
        let is_code = matches!((before, state), (State::Code, State::Code))
            && (piece.len() == 1 || !piece.starts_with('\''));
        for c in piece.chars() {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if is_code { c } else { blank });
            comments.push(if is_comment { c } else { blank });
        }
        rest = rest.get(piece.len()..).unwrap_or_default();
    }
    (code, comments)
}

/// The state after the next piece of `rest`, and how many bytes that piece has.
fn advance(state: State, rest: &str, last: Option<char>) -> (State, usize) {
    let one = rest.chars().next().map_or(1, char::len_utf8);
    match state {
        State::Code => begin(rest, last, one),
        State::LineComment if rest.starts_with('\n') => (State::Code, 1),
        State::LineComment => (State::LineComment, rest.find('\n').unwrap_or(rest.len())),
        State::BlockComment(depth) if rest.starts_with("/*") => (State::BlockComment(depth + 1), 2),
        State::BlockComment(1) if rest.starts_with("*/") => (State::Code, 2),
        State::BlockComment(depth) if rest.starts_with("*/") => (State::BlockComment(depth - 1), 2),
        State::BlockComment(depth) => (State::BlockComment(depth), one),
        State::Text if rest.starts_with('\\') => {
            (State::Text, 1 + rest.chars().nth(1).map_or(0, char::len_utf8))
        }
        State::Text if rest.starts_with('"') => (State::Code, 1),
        State::Text => (State::Text, one),
        State::RawText(hashes) if ends_raw(rest, hashes) => (State::Code, 1 + hashes),
        State::RawText(hashes) => (State::RawText(hashes), one),
    }
}

/// A piece of code, or what begins a comment or a string. A character counts as one piece.
fn begin(rest: &str, last: Option<char>, one: usize) -> (State, usize) {
    if rest.starts_with("//") {
        return (State::LineComment, 2);
    }
    if rest.starts_with("/*") {
        return (State::BlockComment(1), 2);
    }
    if rest.starts_with('"') {
        return (State::Text, 1);
    }
    if let Some(after) = rest.strip_prefix('r')
        && !last.is_some_and(|last| is_word(last) && last != 'b' && last != 'c')
    {
        let hashes = after.chars().take_while(|c| *c == '#').count();
        if after.get(hashes..).is_some_and(|after| after.starts_with('"')) {
            return (State::RawText(hashes), 2 + hashes);
        }
    }
    (State::Code, character(rest).unwrap_or(one))
}

/// Length of a character literal, or nothing when this is none, as with a lifetime.
fn character(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('\'')?;
    if let Some(escaped) = after.strip_prefix('\\') {
        let first = escaped.chars().next()?.len_utf8();
        return escaped.get(first..)?.find('\'').map(|end| 3 + first + end);
    }
    let len = after.chars().next()?.len_utf8();
    after.get(len..)?.starts_with('\'').then_some(2 + len)
}

fn ends_raw(rest: &str, hashes: usize) -> bool {
    rest.strip_prefix('"').is_some_and(|after| after.chars().take_while(|c| *c == '#').count() >= hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::read(PathBuf::from("crates/x/src/a.rs"), text.to_owned())
    }

    #[test]
    fn comments_and_strings_are_told_from_code() {
        let check = |text: &str, code: &str, comments: &str| {
            let source = source(text);
            assert_eq!(source.code.trim_end(), code, "code of {text}");
            assert_eq!(source.comments.trim(), comments, "comments of {text}");
            assert_eq!(source.code.chars().count(), text.chars().count(), "length of {text}");
        };
        check("a(); // todo", "a();", "// todo");
        check("a(\"// no\"); b", "a(       ); b", "");
        check("a /* x /* y */ z */ b", "a                   b", "/* x /* y */ z */");
        check("a('\"', '{', b'\\'', '\\u{7d}') }", "a(   ,    , b    ,         ) }", "");
        check("fn a<'a>(x: &'a str) {}", "fn a<'a>(x: &'a str) {}", "");
        check("x(r#\"a\"{\"#); y", "x(        ); y", "");
        check("x(br\"\\\"); y", "x(b    ); y", "");
        check("\"\\\\\" + \"\\\"}\"; y", "     +      ; y", "");
        check("for\"x\"", "for", "");
        check("ärger /* ö */ x", "ärger         x", "/* ö */");
    }

    #[test]
    fn a_function_counts_from_its_name_to_its_last_brace() {
        let text = "trait T {\n    fn none(&self);\n}\nfn one() { let x = \"}\"; }\n\nconst fn four(a: [u8; 2])\n-> u8 {\n    if a { b } else { c }\n}\nlet f: fn (u8) = x;\n";
        let source = source(text);
        let found: Vec<_> = source.functions().iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("one", 4, 1), ("four", 6, 4)]);
    }

    #[test]
    fn tests_begin_at_their_attribute() {
        let inside = source("//! a\nfn b() {}\n\n#[cfg(test)]\nmod tests {\n}\n");
        assert!(!inside.is_test(3));
        assert!(inside.is_test(4));
        let outside = Source::read(PathBuf::from("crates/x/tests/a.rs"), String::new());
        assert!(outside.is_test(1));
        assert!(!source("#[cfg(test)]\nuse a::b;\n").is_test(2));
    }
}
