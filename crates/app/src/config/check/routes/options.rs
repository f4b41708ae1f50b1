//! Options of a route: rewriting, `Host`, edits of fields, the largest content.
//!
//! | Option | Does |
//! |---|---|
//! | `strip:/api` | takes this from the front of the path |
//! | `prefix:/v2` | puts this before the path |
//! | `rewrite:/v2/$1` | puts this in the path's place; `$1` is what the first `*` took |
//! | `host:NAME` | sends this `Host` |
//! | `max:10MiB` | answers 413 to larger content |
//! | `set:NAME=VALUE`, `add:NAME=VALUE`, `remove:NAME` | change the request's fields |
//! | `answer-set:NAME=VALUE`, `answer-add:...`, `answer-remove:NAME` | change the answer's fields |

use super::{Mistake, Word, near_or_all};
use shoalway_reverse::routes::{FieldEdit, FieldName, HostPolicy, Rewrite, Template};
use shoalway_types::{ByteCount, Target};
use std::ops::Range;

/// Options for what goes to an upstream.
const REQUEST: [&str; 8] = ["strip:", "prefix:", "rewrite:", "host:", "max:", "set:", "add:", "remove:"];
/// Options for whatever is answered.
const ANSWER: [&str; 3] = ["answer-set:", "answer-add:", "answer-remove:"];

/// The options of one route.
#[derive(Default)]
pub(super) struct Options {
    pub(super) rewrite: Rewrite,
    pub(super) host: HostPolicy,
    pub(super) request: Vec<FieldEdit>,
    pub(super) response: Vec<FieldEdit>,
    pub(super) max_content: Option<ByteCount>,
}

impl Options {
    /// The options of a route that answers by itself.
    pub(super) fn of_answer(words: &[Word<'_>]) -> Result<Self, Mistake> {
        let mut options = Self::default();
        for (place, word) in words {
            if !options.take_for_answer(place, word)? {
                return Err((place.clone(), near_or_all(word, &ANSWER)));
            }
        }
        Ok(options)
    }

    /// Takes an option of a route to upstreams; false when it is none.
    pub(super) fn take_for_upstream(&mut self, place: &Range<usize>, word: &str) -> Result<bool, Mistake> {
        let Some(name) = REQUEST.iter().find(|name| word.starts_with(**name)) else {
            return self.take_for_answer(place, word);
        };
        let value = word.get(name.len()..).unwrap_or_default();
        self.request_option(name, value).map_err(|why| (place.clone(), why))?;
        Ok(true)
    }

    fn take_for_answer(&mut self, place: &Range<usize>, word: &str) -> Result<bool, Mistake> {
        let Some(name) = ANSWER.iter().find(|name| word.starts_with(**name)) else { return Ok(false) };
        let value = word.get(name.len()..).unwrap_or_default();
        let kind = name.trim_start_matches("answer-");
        self.response.push(edit(kind, value).map_err(|why| (place.clone(), why))?);
        Ok(true)
    }

    fn request_option(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "strip:" | "prefix:" | "rewrite:" if self.rewrite != Rewrite::None => {
                return Err("one of strip:, prefix: and rewrite: is enough".to_owned());
            }
            "strip:" => self.rewrite = Rewrite::Strip(path(value)?.as_bytes().into()),
            "prefix:" => self.rewrite = Rewrite::Add(path(value)?.as_bytes().into()),
            "rewrite:" => {
                if !value.starts_with('/') {
                    return Err("write rewrite:/PATH, in which $1 is what the first * took".to_owned());
                }
                self.rewrite = Rewrite::To(Template::parse(value).map_err(|error| error.to_string())?);
            }
            "host:" => {
                Target::parse(value, Some(80)).map_err(|error| error.to_string())?;
                self.host = HostPolicy::Set(value.into());
            }
            "max:" => {
                let size = value.parse::<ByteCount>();
                let size = size.map_err(|_no_size| "write a size such as max:10MiB".to_owned())?;
                self.max_content = Some(size);
            }
            kind => self.request.push(edit(kind, value)?),
        }
        Ok(())
    }
}

/// A path without a slash at its end.
fn path(text: &str) -> Result<&str, String> {
    let fits = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#*$".contains(&b));
    let path = text.strip_suffix('/').unwrap_or(text);
    if !fits || path.is_empty() {
        return Err("write a path such as /api".to_owned());
    }
    Ok(path)
}

fn edit(kind: &str, text: &str) -> Result<FieldEdit, String> {
    let name = |text: &str| FieldName::parse(text).map_err(|error| error.to_string());
    if kind == "remove:" {
        return Ok(FieldEdit::Remove(name(text)?));
    }
    let Some((field, value)) = text.split_once('=') else {
        return Err(format!("write {kind}NAME=VALUE"));
    };
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a value is visible ASCII without spaces".to_owned());
    }
    let field = name(field)?;
    Ok(if kind == "set:" { FieldEdit::Set(field, value.into()) } else { FieldEdit::Add(field, value.into()) })
}
