//! What a route takes: its path, methods and fields.

use super::covers::Shape;
use super::{Mistake, Word, near_or_all};
use crate::config::check::upstreams::is_token;
use shoalway_reverse::routes::{FieldName, FieldTest, MethodSet, PathPattern, Test, When};

/// Words that may stand before the arrow, besides the path.
const WORDS: [&str; 2] = ["method:", "header:"];

/// Reads what stands before the arrow.
pub(super) fn takes(words: &[Word<'_>]) -> Result<(Shape, PathPattern, When), Mistake> {
    let (mut path, mut shape, mut fields) = (None, Shape::default(), Vec::new());
    for (place, word) in words {
        let wrong = |why: String| (place.clone(), why);
        if word.starts_with(['/', '*']) {
            if path.is_some() {
                return Err(wrong("a route has one path".to_owned()));
            }
            path = Some(PathPattern::parse(word).map_err(|error| wrong(error.to_string()))?);
            (*word).clone_into(&mut shape.path);
        } else if let Some(list) = word.strip_prefix("method:") {
            for method in list.split(',') {
                if !is_token(method) || method.bytes().any(|b| b.is_ascii_lowercase()) {
                    return Err(wrong("methods are words in capitals, such as GET,HEAD".to_owned()));
                }
                shape.methods.push(method.to_owned());
            }
        } else if let Some(field) = word.strip_prefix("header:") {
            fields.push(test(field).map_err(wrong)?);
        } else if word.contains(':') {
            return Err(wrong(near_or_all(word, &WORDS)));
        } else {
            return Err(wrong("a path begins with `/` or `*`".to_owned()));
        }
    }
    if path.is_none() {
        "*".clone_into(&mut shape.path);
    }
    shape.fields.clone_from(&fields);
    let methods = shape.methods.iter().map(String::as_str);
    let methods = (!shape.methods.is_empty()).then(|| MethodSet::of(methods));
    let when = When { hosts: Vec::new(), methods, fields };
    Ok((shape, path.unwrap_or_else(PathPattern::any), when))
}

/// `NAME`, `!NAME`, `NAME=VALUE` or `NAME~PART`.
fn test(text: &str) -> Result<FieldTest, String> {
    let (name, test) = match (text.strip_prefix('!'), text.find(['=', '~'])) {
        (Some(name), _) => (name, Test::Absent),
        (None, None) => (text, Test::Present),
        (None, Some(index)) => {
            let (name, value) = text.split_at(index);
            let is = value.strip_prefix('=').map(|value| Test::Is(value.into()));
            (name, is.unwrap_or_else(|| Test::Contains(value.trim_start_matches('~').into())))
        }
    };
    let name = FieldName::parse(name).map_err(|error| error.to_string())?;
    Ok(FieldTest { name, test })
}
