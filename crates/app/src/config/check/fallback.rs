//! Who answers for a site when none of its upstreams can.
//!
//! Not here: when that is (`reverse/attempt`).

use super::Check;
use super::sites::leads_away;
use super::upstreams::{self, Found, Kind};
use crate::config::at::{At, Many};
use crate::config::catalogue::Code;
use crate::config::report::Problem;
use crate::config::settings::Fallback;
use std::net::SocketAddr;
use std::ops::Range;

/// What was written.
pub(super) enum Read {
    To(Found),
    Answer(Fallback),
}

/// Reads `fallback`; `content` gains what the file holds that it names.
pub(super) fn fallback(
    list: Option<&Many>,
    listen: &[SocketAddr],
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<Read> {
    let list = list?;
    if let [at] = list.items() {
        if let Some(text) = at.get().trim().strip_prefix("answer:") {
            return answer(at, text, check);
        }
        if let Some(path) = at.get().trim().strip_prefix("page:") {
            return page(at, path, content, check);
        }
    }
    let found = upstreams::list(list, Kind::Site, check);
    leads_away(&found, &list.items().iter().map(At::place).collect::<Vec<_>>(), listen, check);
    (!list.items().is_empty()).then_some(Read::To(found))
}

fn answer(at: &At<String>, text: &str, check: &mut Check<'_>) -> Option<Read> {
    let (status, text) = text.split_once(' ').unwrap_or((text, ""));
    let Some(status) = status.parse().ok().filter(|status: &u16| (200..600).contains(status)) else {
        mistake(at, 0..at.get().len(), "write answer: and a status from 200 to 599", check);
        return None;
    };
    let text = if text.is_empty() { String::new() } else { format!("{}\n", text.trim()) };
    Some(Read::Answer(Fallback::Answer { status, content_type: PLAIN, text }))
}

fn page(at: &At<String>, path: &str, content: &mut Vec<String>, check: &mut Check<'_>) -> Option<Read> {
    let path = check.dir(at).join(path);
    let text = match check.surroundings.read_text(&path) {
        Ok(text) => text,
        Err(error) => {
            let problem =
                Problem::new(Code::FileUnreadable, at.place(), format!("cannot read the page: {error}"));
            check.add(problem.label(format!("looked for {}", path.display())));
            return None;
        }
    };
    content.push(text.clone());
    let is_html = path.extension().is_some_and(|end| end == "html" || end == "htm");
    let content_type = if is_html { "text/html; charset=utf-8" } else { PLAIN };
    Some(Read::Answer(Fallback::Answer { status: 503, content_type, text }))
}

fn mistake(at: &At<String>, part: Range<usize>, why: &str, check: &mut Check<'_>) {
    let problem = Problem::new(Code::Route, check.inside(at, part), "a mistake in `fallback`");
    check.add(problem.label(why));
}

const PLAIN: &str = "text/plain; charset=utf-8";
