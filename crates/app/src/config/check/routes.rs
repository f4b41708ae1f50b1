//! Routes of a site, one line each: what is taken, an arrow, what becomes of it.
//!
//! ```text
//! PATH [method:GET,HEAD] [header:NAME[=VALUE]] -> UPSTREAM [weight=N ...] [UPSTREAM ...] [rewrite:PATH[*]]
//! PATH ...                                     => redirect:TARGET[*] [STATUS] | files:DIRECTORY | answer:STATUS [TEXT]
//! ```
//! A path ends in `*` to take all that begins so, and `*` at the end of a target stands for what followed. Not here:
//! matching (`reverse`), upstreams (`upstreams`).

use super::Check;
use super::sites::leads_away;
use super::upstreams::{self, Found, Kind, is_token};
use crate::config::at::{At, Many, Place};
use crate::config::catalogue::Code;
use crate::config::report::{Problem, nearest};
use crate::config::settings::{PathMatch, Rewrite, RouteAction, RouteMatch, RouteSettings, UpstreamSettings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

/// Statuses a redirect may have.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// The status of a redirect that names none: the method stays, and no browser keeps it for ever.
const REDIRECT: u16 = 307;
/// Options of an upstream, which stand behind it.
const OPTIONS: [&str; 4] = ["weight=", "priority=", "zone=", "tags="];

/// A route as it was read.
pub(super) struct Read {
    takes: RouteMatch,
    does: Does,
}

enum Does {
    To { found: Found, rewrite: Option<Rewrite> },
    Itself(RouteAction),
}

impl Read {
    /// Whether anything is spoken to by TLS.
    pub(super) fn has_https(&self) -> bool {
        match &self.does {
            Does::To { found, .. } => found.has_https(),
            Does::Itself(_) => false,
        }
    }
}

/// Reads all routes of a site.
pub(super) fn routes(items: &Many, listen: &[SocketAddr], check: &mut Check<'_>) -> Vec<Read> {
    let mut all: Vec<(Read, Place)> = Vec::new();
    for at in items.items() {
        let Some(read) = route(at, listen, check) else { continue };
        if let Some((_, first)) = all.iter().find(|(first, _)| covers(&first.takes, &read.takes)) {
            let problem = Problem::new(Code::DeadRoute, at.place(), "this route can never match");
            check.add(problem.label("never reached").also(first.clone(), "takes all of it"));
        }
        all.push((read, at.place()));
    }
    all.into_iter().map(|(read, _)| read).collect()
}

/// The routes with the names of their upstreams: the site's and the path's, numbered where paths repeat.
pub(super) fn named(
    site: &str,
    read: Vec<Read>,
    mut upstream: impl FnMut(String, Found) -> UpstreamSettings,
) -> Vec<RouteSettings> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut settings = |Read { takes, does }: Read| {
        let does = match does {
            Does::Itself(action) => action,
            Does::To { found, rewrite } => {
                let path = match &takes.path {
                    PathMatch::Exact(path) => path.clone(),
                    PathMatch::Prefix(path) => format!("{path}*"),
                };
                let count = seen.entry(path.clone()).or_default();
                *count += 1;
                let number = if *count == 1 { String::new() } else { format!("#{count}") };
                let upstream = Box::new(upstream(format!("{site}{path}{number}"), found));
                RouteAction::To { upstream, rewrite }
            }
        };
        RouteSettings { takes, does }
    };
    read.into_iter().map(&mut settings).collect()
}

/// A word and where it stands in the line.
type Word<'a> = (Range<usize>, &'a str);

/// A part of the line and what is wrong with it.
type Mistake = (Range<usize>, String);

fn route(at: &At<String>, listen: &[SocketAddr], check: &mut Check<'_>) -> Option<Read> {
    let line = at.get();
    match read(at, line, listen, check) {
        Ok(read) => Some(read),
        Err((part, why)) => {
            let problem = Problem::new(Code::Route, check.inside(at, part), "a mistake in a route");
            check.add(problem.label(why));
            None
        }
    }
}

fn read(at: &At<String>, line: &str, listen: &[SocketAddr], check: &mut Check<'_>) -> Result<Read, Mistake> {
    let words = words(line);
    let is_arrow = |word: &Word<'_>| word.1 == "->" || word.1 == "=>";
    let Some(arrow) = words.iter().position(is_arrow) else {
        return Err((
            0..line.len(),
            "write PATH -> UPSTREAM, or PATH => redirect:, files: or answer:".into(),
        ));
    };
    let (left, right) = words.split_at(arrow);
    let takes = takes(left)?;
    let Some(((place, arrow), right)) = right.split_first() else {
        return Err((0..line.len(), "there is no arrow".into()));
    };
    let Some(first) = right.first() else { return Err((place.clone(), "nothing follows the arrow".into())) };
    if *arrow == "=>" {
        return Ok(Read { does: Does::Itself(itself(at, line, first, right, check)?), takes });
    }
    if let Some(kind) = ["redirect:", "files:", "answer:"].iter().find(|kind| first.1.starts_with(**kind)) {
        return Err((place.clone(), format!("did you mean `=> {kind}`?")));
    }
    let (found, rewrite) = upstreams(at, line, right, listen, check)?;
    Ok(Read { takes, does: Does::To { found, rewrite } })
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (index, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (start, c.is_whitespace()) {
            (None, false) => start = Some(index),
            (Some(from), true) => {
                words.push((from..index, line.get(from..index).unwrap_or_default()));
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    words
}

fn takes(words: &[Word<'_>]) -> Result<RouteMatch, Mistake> {
    let (mut path, mut methods, mut headers) = (None, Vec::new(), Vec::new());
    for (place, word) in words {
        let wrong = |why: &str| Err((place.clone(), why.to_owned()));
        if word.starts_with('/') || *word == "*" {
            if path.is_some() {
                return wrong("a route has one path");
            }
            path = Some(path_match(word).map_err(|why| (place.clone(), why))?);
        } else if let Some(list) = word.strip_prefix("method:") {
            for method in list.split(',') {
                if !is_token(method) || method.bytes().any(|b| b.is_ascii_lowercase()) {
                    return wrong("methods are words in capitals, such as GET,HEAD");
                }
                methods.push(method.to_owned());
            }
        } else if let Some(field) = word.strip_prefix("header:") {
            let (name, value) = match field.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (field, None),
            };
            if !is_token(name) {
                return wrong("write header:NAME or header:NAME=VALUE");
            }
            headers.push((name.to_ascii_lowercase(), value));
        } else {
            let known = ["method:", "header:"];
            let word = word.split_inclusive(':').next().unwrap_or_default();
            return match nearest(word, known) {
                Some(near) => Err((place.clone(), format!("did you mean `{near}`?"))),
                None => wrong("before the arrow stand a path that begins with `/`, method: and header:"),
            };
        }
    }
    let path = match path {
        Some(path) => path,
        None => PathMatch::Prefix("/".to_owned()),
    };
    Ok(RouteMatch { path, methods, headers })
}

fn path_match(word: &str) -> Result<PathMatch, String> {
    let (path, prefix) = match word.strip_suffix('*') {
        Some("") => ("/", true),
        Some(path) => (path, true),
        None => (word, false),
    };
    plain_path(path)?;
    Ok(if prefix { PathMatch::Prefix(path.to_owned()) } else { PathMatch::Exact(path.to_owned()) })
}

/// A path as it is compared: nothing in it that could be written in another way.
fn plain_path(path: &str) -> Result<(), String> {
    if path.contains('*') {
        return Err("`*` stands at the end only".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err("a path has no query and no fragment".to_owned());
    }
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a path is printable ASCII; write other characters as %XX".to_owned());
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return Err("a path has no `.` and `..`".to_owned());
    }
    Ok(())
}

fn upstreams(
    at: &At<String>,
    line: &str,
    words: &[Word<'_>],
    listen: &[SocketAddr],
    check: &mut Check<'_>,
) -> Result<(Found, Option<Rewrite>), Mistake> {
    let (mut ranges, mut rewrite): (Vec<Range<usize>>, _) = (Vec::new(), None);
    for (place, word) in words {
        if let Some(target) = word.strip_prefix("rewrite:") {
            let to = target.strip_suffix('*').unwrap_or(target);
            if !to.starts_with('/') {
                return Err((place.clone(), "write rewrite:/PATH or rewrite:/PATH*".to_owned()));
            }
            plain_path(to).map_err(|why| (place.clone(), why))?;
            rewrite = Some(Rewrite { to: to.to_owned(), with_rest: target.ends_with('*') });
        } else if OPTIONS.iter().any(|option| word.starts_with(option)) {
            match ranges.last_mut() {
                Some(range) => range.end = place.end,
                None => return Err((place.clone(), "an option stands behind its upstream".to_owned())),
            }
        } else {
            let end = if word.ends_with(',') { place.end - 1 } else { place.end };
            ranges.push(place.start..end);
        }
    }
    let (mut found, mut places) = (Found::default(), Vec::new());
    for range in ranges {
        let place = check.inside(at, range.clone());
        let text = line.get(range).unwrap_or_default();
        upstreams::one(text, &place, at, Kind::Site, &mut found, check);
        places.push(place);
    }
    leads_away(&found, &places, listen, check);
    Ok((found, rewrite))
}

fn itself(
    at: &At<String>,
    line: &str,
    first: &Word<'_>,
    words: &[Word<'_>],
    check: &Check<'_>,
) -> Result<RouteAction, Mistake> {
    let (place, word) = first;
    let too_much = |from: usize| match words.get(from) {
        Some((place, _)) => Err((place.clone(), "nothing may follow here".to_owned())),
        None => Ok(()),
    };
    let status = |text: &str| text.parse::<u16>().ok();
    if let Some(target) = word.strip_prefix("redirect:") {
        let code = match words.get(1) {
            None => REDIRECT,
            Some((place, text)) => status(text)
                .filter(|code| REDIRECTS.contains(code))
                .ok_or_else(|| (place.clone(), "a redirect is 301, 302, 303, 307 or 308".to_owned()))?,
        };
        too_much(2)?;
        let to = redirect_target(target).map_err(|why| (place.clone(), why))?;
        return Ok(RouteAction::Redirect { status: code, to });
    }
    if let Some(directory) = word.strip_prefix("files:") {
        too_much(1)?;
        if directory.is_empty() {
            return Err((place.clone(), "write files:DIRECTORY".to_owned()));
        }
        return Ok(RouteAction::Files(check.dir(at).join(directory)));
    }
    if let Some(code) = word.strip_prefix("answer:") {
        let code = status(code).filter(|code| (200..600).contains(code));
        let code =
            code.ok_or_else(|| (place.clone(), "write answer: and a status from 200 to 599".to_owned()))?;
        let text = line.get(place.end..).unwrap_or_default().trim().to_owned();
        return Ok(RouteAction::Answer { status: code, text });
    }
    let known = ["redirect:", "files:", "answer:"];
    if word.contains("://") || word.starts_with("unix:") {
        return Err((place.clone(), "an upstream stands behind `->`".to_owned()));
    }
    let name = word.split_inclusive(':').next().unwrap_or_default();
    Err(match nearest(name, known) {
        Some(near) => (place.clone(), format!("did you mean `{near}`?")),
        None => (place.clone(), format!("known: {}", known.join(", "))),
    })
}

fn redirect_target(target: &str) -> Result<Rewrite, String> {
    let to = target.strip_suffix('*').unwrap_or(target);
    let absolute = to.starts_with("http://") || to.starts_with("https://");
    if !absolute && !to.starts_with('/') {
        return Err("write redirect:/PATH or redirect:https://HOST/PATH".to_owned());
    }
    if to.contains('*') || !to.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'<' && b != b'>') {
        return Err("a target is printable ASCII, and `*` stands at its end only".to_owned());
    }
    Ok(Rewrite { to: to.to_owned(), with_rest: target.ends_with('*') })
}

/// Whether nothing is left for the second route.
fn covers(first: &RouteMatch, second: &RouteMatch) -> bool {
    let path = match (&first.path, &second.path) {
        (PathMatch::Prefix(one), PathMatch::Prefix(two) | PathMatch::Exact(two)) => {
            two.starts_with(one.as_str())
        }
        (PathMatch::Exact(one), PathMatch::Exact(two)) => one == two,
        (PathMatch::Exact(_), PathMatch::Prefix(_)) => false,
    };
    let methods = first.methods.is_empty()
        || (!second.methods.is_empty() && second.methods.iter().all(|method| first.methods.contains(method)));
    path && methods && first.headers.iter().all(|field| second.headers.contains(field))
}
