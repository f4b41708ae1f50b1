//! Compression of a site's answers.
//!
//! Not here: which answers are compressed (`reverse`).

use super::{Check, unknown_word};
use crate::config::at::At;
use crate::config::catalogue::Code;
use crate::config::file::CompressSection;
use crate::config::report::Problem;
use shoalway_reverse::compress::{Coding, Compression};

/// Codings that are known elsewhere and not here.
const OTHERS: &[&str] = &["deflate", "compress"];

/// What is compressed; none when nobody wrote anything. Without codings nothing is.
pub(super) fn compression(section: Option<&CompressSection>, check: &mut Check<'_>) -> Option<Compression> {
    let CompressSection { on, codings, types } = section?;
    let mut offered = Vec::new();
    for at in codings.items() {
        match Coding::parse(at.get()) {
            Some(coding) if offered.contains(&coding) => {
                check.no_effect(at.place(), "codings", "this coding stands here twice");
            }
            Some(coding) => offered.push(coding),
            None => check.add(unknown_word("codings", at, &["zstd", "br", "gzip"], OTHERS)),
        }
    }
    let types: Vec<Box<str>> = types.items().iter().filter_map(|at| media_type(at, check)).collect();
    if !*on.get() {
        offered.clear();
    }
    Some(Compression { codings: offered.into(), types: types.into() })
}

/// A type without parameters: RFC 9110 section 8.3.1.
fn media_type(at: &At<String>, check: &mut Check<'_>) -> Option<Box<str>> {
    let is_token = |part: &str| {
        let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(tchar)
    };
    let good = at.get().split_once('/').is_some_and(|(kind, name)| is_token(kind) && is_token(name));
    if !good {
        let problem = Problem::new(Code::Name, at.place(), format!("`{}` is not a content type", at.get()));
        check.add(problem.label("write one such as text/event-stream, without parameters"));
    }
    good.then(|| at.get().as_str().into())
}
