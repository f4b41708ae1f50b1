//! Routes of a site, one line each: what is taken, an arrow, what becomes of it.
//!
//! ```text
//! PATH [method:GET,HEAD] [header:NAME[=VALUE]] -> UPSTREAM [weight=N ...] [UPSTREAM ...] [OPTION...]
//! PATH ...                                     => redirect:TARGET [STATUS] [OPTION...]
//!                                              => files:DIRECTORY [OPTION...]
//!                                              => answer:STATUS [TEXT]
//! ```
//! What is where: `takes` reads what stands before the arrow, `options` the options, `covers` finds dead routes. Reading
//! patterns and templates is the reverse crate's work. Not here: matching (`reverse/routes`), upstreams (`upstreams`).

mod covers;
mod options;
mod takes;

use super::Check;
use super::sites::leads_away;
use super::upstreams::{self, Found, Kind};
use crate::config::at::{At, Many, Place};
use crate::config::catalogue::Code;
use crate::config::report::{Problem, nearest};
use crate::config::settings::{RouteAction, RouteSettings, UpstreamSettings};
use covers::Shape;
use options::Options;
use shoalway_reverse::routes::{PathPattern, Redirect, RedirectStatus, When};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

/// Options of an upstream, which stand behind it.
const OF_UPSTREAM: [&str; 4] = ["weight=", "priority=", "zone=", "tags="];
/// What may stand behind `=>`.
const ACTIONS: [&str; 3] = ["redirect:", "files:", "answer:"];

/// A route as it was read.
pub(super) struct Read {
    shape: Shape,
    path: PathPattern,
    when: When,
    does: Does,
    options: Options,
}

enum Does {
    To(Found),
    Itself(RouteAction),
}

impl Read {
    /// Whether anything is spoken to by TLS.
    pub(super) fn has_https(&self) -> bool {
        self.found().is_some_and(Found::has_https)
    }

    /// Its upstreams.
    pub(super) const fn found(&self) -> Option<&Found> {
        match &self.does {
            Does::To(found) => Some(found),
            Does::Itself(_) => None,
        }
    }
}

/// A word and where it stands in the line.
type Word<'a> = (Range<usize>, &'a str);

/// A part of the line and what is wrong with it.
type Mistake = (Range<usize>, String);

/// Reads all routes of a site.
pub(super) fn routes(items: &Many, listen: &[SocketAddr], check: &mut Check<'_>) -> Vec<Read> {
    let mut all: Vec<(Read, Place)> = Vec::new();
    for at in items.items() {
        let read = match read(at, listen, check) {
            Ok(read) => read,
            Err((part, why)) => {
                let problem = Problem::new(Code::Route, check.inside(at, part), "a mistake in a route");
                check.add(problem.label(why));
                continue;
            }
        };
        if let Some((_, first)) = all.iter().find(|(first, _)| first.shape.covers(&read.shape)) {
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
    let mut settings = |Read { shape, path, when, does, options }: Read| {
        let Options { rewrite, host, request, response, max_content } = options;
        let does = match does {
            Does::Itself(action) => action,
            Does::To(found) => {
                let count = seen.entry(shape.path.clone()).or_default();
                *count += 1;
                let number = if *count == 1 { String::new() } else { format!("#{count}") };
                let name = format!("{site}{}{number}", shape.path);
                RouteAction::To { upstream: Box::new(upstream(name, found)), rewrite, host }
            }
        };
        RouteSettings { path, when, does, request, response, max_content }
    };
    read.into_iter().map(&mut settings).collect()
}

fn read(at: &At<String>, listen: &[SocketAddr], check: &mut Check<'_>) -> Result<Read, Mistake> {
    let line = at.get().as_str();
    let words = words(line);
    let is_arrow = |word: &Word<'_>| word.1 == "->" || word.1 == "=>";
    let Some(arrow) = words.iter().position(is_arrow) else {
        return Err((
            0..line.len(),
            "write PATH -> UPSTREAM, or PATH => redirect:, files: or answer:".into(),
        ));
    };
    let (left, right) = words.split_at(arrow);
    let (shape, path, when) = takes::takes(left)?;
    let Some(((place, arrow), right)) = right.split_first() else {
        return Err((0..line.len(), "there is no arrow".into()));
    };
    let Some(first) = right.first() else { return Err((place.clone(), "nothing follows the arrow".into())) };
    let (does, options) = if *arrow == "=>" {
        itself(at, first, right, check)?
    } else if let Some(kind) = ACTIONS.iter().find(|kind| first.1.starts_with(**kind)) {
        return Err((place.clone(), format!("did you mean `=> {kind}`?")));
    } else {
        to(at, right, listen, check)?
    };
    Ok(Read { shape, path, when, does, options })
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

/// What follows `->`: upstreams, each with its own options behind it, and options of the route.
fn to(
    at: &At<String>,
    words: &[Word<'_>],
    listen: &[SocketAddr],
    check: &mut Check<'_>,
) -> Result<(Does, Options), Mistake> {
    let (mut ranges, mut options): (Vec<Range<usize>>, _) = (Vec::new(), Options::default());
    for (place, word) in words {
        if options.take_for_upstream(place, word)? {
            continue;
        }
        if OF_UPSTREAM.iter().any(|option| word.starts_with(option)) {
            match ranges.last_mut() {
                Some(range) => range.end = place.end,
                None => return Err((place.clone(), "an option stands behind its upstream".to_owned())),
            }
        } else {
            let end = if word.ends_with(',') { place.end - 1 } else { place.end };
            ranges.push(place.start..end);
        }
    }
    if let (true, Some((place, _))) = (ranges.is_empty(), words.first()) {
        return Err((place.clone(), "there is no upstream".to_owned()));
    }
    let (mut found, mut places) = (Found::default(), Vec::new());
    for range in ranges {
        let place = check.inside(at, range.clone());
        let text = at.get().get(range).unwrap_or_default();
        upstreams::one(text, &place, at, Kind::Site, &mut found, check);
        places.push(place);
    }
    leads_away(&found, &places, listen, check);
    Ok((Does::To(found), options))
}

/// What follows `=>`.
fn itself(
    at: &At<String>,
    first: &Word<'_>,
    words: &[Word<'_>],
    check: &Check<'_>,
) -> Result<(Does, Options), Mistake> {
    let (place, word) = first;
    let rest = words.get(1..).unwrap_or_default();
    if let Some(target) = word.strip_prefix("redirect:") {
        let (status, rest) = redirect_status(rest)?;
        let redirect = Redirect::parse(target, status).map_err(|error| (place.clone(), error.to_string()))?;
        return Ok((Does::Itself(RouteAction::Redirect(redirect)), Options::of_answer(rest)?));
    }
    if let Some(directory) = word.strip_prefix("files:") {
        if directory.is_empty() {
            return Err((place.clone(), "write files:DIRECTORY".to_owned()));
        }
        let action = RouteAction::Files(check.dir(at).join(directory));
        return Ok((Does::Itself(action), Options::of_answer(rest)?));
    }
    if let Some(code) = word.strip_prefix("answer:") {
        let code = code.parse::<u16>().ok().filter(|code| (200..600).contains(code));
        let status =
            code.ok_or_else(|| (place.clone(), "write answer: and a status from 200 to 599".to_owned()))?;
        let text = at.get().get(place.end..).unwrap_or_default().trim().to_owned();
        return Ok((Does::Itself(RouteAction::Answer { status, text }), Options::default()));
    }
    if word.contains("://") || word.starts_with("unix:") {
        return Err((place.clone(), "an upstream stands behind `->`".to_owned()));
    }
    Err((place.clone(), near_or_all(word, &ACTIONS)))
}

fn redirect_status<'a, 'b>(words: &'b [Word<'a>]) -> Result<(RedirectStatus, &'b [Word<'a>]), Mistake> {
    let Some(((place, text), rest)) = words.split_first() else {
        return Ok((RedirectStatus::default(), words));
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok((RedirectStatus::default(), words));
    }
    let status = match *text {
        "301" => RedirectStatus::Moved,
        "302" => RedirectStatus::Found,
        "307" => RedirectStatus::Temporary,
        "308" => RedirectStatus::Permanent,
        _ => return Err((place.clone(), "a redirect is 301, 302, 307 or 308".to_owned())),
    };
    Ok((status, rest))
}

/// The known word that is meant, or all of them; what follows a colon does not count.
fn near_or_all(word: &str, known: &[&str]) -> String {
    let name = word.split_inclusive([':', '=']).next().unwrap_or_default();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}
