//! The report as text: message, place, line, caret, fixes, and a last line that says what happens now.
//!
//! Lines of a file are shown as they are, but tabs as one space and control characters as `?`, so that a file
//! cannot write to the terminal; a long line is cut to a window around the place.

use super::{Problem, Report};
use crate::config::at::Place;
use crate::config::source::Excerpt;

/// Longest piece of a line that is shown, in characters.
const WINDOW: usize = 100;
/// Characters kept before the place in a cut line.
const BEFORE: usize = 40;

/// What the last line tells.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// Only a check was asked for.
    Check,
    /// The program was about to start.
    Start,
    /// A running program was asked to reload.
    Kept {
        /// When the configuration in force was loaded, such as `14:02`.
        since: &'a str,
    },
}

impl Report {
    /// The whole report, ending in a newline; empty when there is nothing to say.
    #[must_use]
    pub fn to_text(&self, ending: Ending<'_>) -> String {
        let mut out = String::new();
        for problem in self.problems() {
            self.problem(&mut out, problem);
        }
        if !self.problems().is_empty() {
            out.push_str(&self.last_line(ending));
        }
        out
    }

    fn last_line(&self, ending: Ending<'_>) -> String {
        let mut counts = Vec::new();
        for (count, word) in [(self.errors(), "error"), (self.warnings(), "warning")] {
            match count {
                0 => {}
                1 => counts.push(format!("1 {word}")),
                _ => counts.push(format!("{count} {word}s")),
            }
        }
        let counts = counts.join(", ");
        if self.errors() == 0 {
            return format!("{counts}.\n");
        }
        match ending {
            Ending::Check => format!("{counts}. Nothing changed: the file was only checked.\n"),
            Ending::Start => format!("{counts}. Nothing changed: the program was not started.\n"),
            Ending::Kept { since } => {
                format!("{counts}. Nothing changed: the configuration loaded at {since} stays in force.\n")
            }
        }
    }

    fn problem(&self, out: &mut String, problem: &Problem) {
        let entry = problem.code.entry();
        out.push_str(&format!("{}[{}]: {}\n", entry.severity.word(), entry.id, clean(&problem.message)));
        let width = self.gutter(problem);
        if let (Some(at), Some(excerpt)) =
            (self.sources().locate(&problem.place), self.sources().excerpt(&problem.place))
        {
            out.push_str(&format!("{:width$}{}:{}:{}\n", "", clean(&at.file), at.line, at.column));
            let (mut before, mut after, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
            for (place, word) in &problem.also {
                match self.beside(&problem.place, place) {
                    Some(other) if other.line < excerpt.line => before.push((other, word)),
                    Some(other) => after.push((other, word)),
                    None => elsewhere.push((place, word)),
                }
            }
            before.iter().for_each(|(other, word)| other_line(out, other, word, width));
            caret(out, &excerpt, &problem.label, width);
            after.iter().for_each(|(other, word)| other_line(out, other, word, width));
            for (place, word) in elsewhere {
                if let Some(at) = self.sources().locate(place) {
                    let at = format!("{}:{}:{}", clean(&at.file), at.line, at.column);
                    out.push_str(&format!("{:width$} = see {at}: {}\n", "", clean(word)));
                }
            }
        } else if !problem.label.is_empty() {
            out.push_str(&format!("{:width$} = {}\n", "", clean(&problem.label)));
        }
        for fix in &problem.fixes {
            out.push_str(&format!("{:width$} = fix: {}\n", "", clean(fix)));
        }
    }

    /// The line of another place, when it lies in the same source.
    fn beside(&self, place: &Place, other: &Place) -> Option<Excerpt<'_>> {
        let (here, there) = (self.sources().of(place)?, self.sources().of(other)?);
        (here.base() == there.base()).then(|| self.sources().excerpt(other))?
    }

    /// Width of the line numbers, at least 2.
    fn gutter(&self, problem: &Problem) -> usize {
        let also = problem.also.iter().filter_map(|(place, _)| self.beside(&problem.place, place));
        let lines = also.chain(self.sources().excerpt(&problem.place)).map(|excerpt| excerpt.line);
        lines.max().unwrap_or(0).to_string().len().max(2)
    }
}

fn caret(out: &mut String, excerpt: &Excerpt<'_>, label: &str, width: usize) {
    let before = excerpt.text.get(..excerpt.range.start).unwrap_or_default().chars().count();
    let marked = excerpt.text.get(excerpt.range.clone()).unwrap_or_default().chars().count().max(1);
    let (line, column) = window(excerpt.text, before);
    let marked = marked.min(WINDOW - (column.min(WINDOW - 1)));
    let label = if label.is_empty() { String::new() } else { format!(" {}", clean(label)) };
    out.push_str(&format!("{:>width$} | {line}\n", excerpt.line));
    out.push_str(&format!("{:width$} | {:column$}{}{label}\n", "", "", "^".repeat(marked)));
}

fn other_line(out: &mut String, excerpt: &Excerpt<'_>, word: &str, width: usize) {
    let before = excerpt.text.get(..excerpt.range.start).unwrap_or_default().chars().count();
    let (line, _) = window(excerpt.text, before);
    out.push_str(&format!("{:>width$} | {line}  <- {}\n", excerpt.line, clean(word)));
}

/// The part of a line around a column, and that column within the part.
fn window(line: &str, column: usize) -> (String, usize) {
    let line = hidden(&clean(line));
    let length = line.chars().count();
    if length <= WINDOW {
        return (line.trim_end().to_owned(), column);
    }
    let start = column.saturating_sub(BEFORE).min(length - WINDOW);
    let cut: String = line.chars().skip(start).take(WINDOW).collect();
    let head = if start > 0 { "..." } else { "" };
    let tail = if start + WINDOW < length { "..." } else { "" };
    (format!("{head}{cut}{tail}"), column - start + head.len())
}

/// The line with passwords in URLs starred out, character for character, so that columns stay.
fn hidden(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(['"', '\'']).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        match url.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?, host))) {
            Some(((user, password), host)) if !password.starts_with("${") || password.contains(":-") => {
                out.push_str(&format!("{user}:{}@{host}", "*".repeat(password.chars().count())));
            }
            Some(_) | None => out.push_str(url),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(200), "b".repeat(200));
        let (cut, column) = window(&line, 200);
        assert_eq!(cut.chars().skip(column).take(4).collect::<String>(), "HERE");
        assert!(cut.chars().count() <= WINDOW + 6, "{cut}");
    }

    #[test]
    fn passwords_in_urls_are_starred_out_in_place() {
        for (line, shown) in [
            ("url = \"socks5://me:p\u{e9}s@h:1\"", "url = \"socks5://me:***@h:1\""),
            ("[\"http://a:b@c\", \"http://d:e@f\"]", "[\"http://a:*@c\", \"http://d:*@f\"]"),
            ("\"http://a:${file:b}@c\"", "\"http://a:${file:b}@c\""),
            ("\"http://host:80\" # a@b:c", "\"http://host:80\" # a@b:c"),
            ("http://me:open", "http://me:open"),
        ] {
            assert_eq!(hidden(line), shown);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[31m\tb"), "a?[31m b");
    }
}
