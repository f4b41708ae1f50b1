//! `config init`, `check`, `show`, `explain` and `schema`.

use super::{ConfigCommand, Exit, Output, loaded, show_report};
use crate::config::catalogue::Code;
use crate::config::report::nearest;
use crate::config::shape::{Kind, Shape, json_schema};
use crate::config::show::Origin;
use crate::config::{Ending, Request, load};
use serde_json::{Value, json};
use std::io;

/// The commented file with every key.
const FULL: &str = include_str!("../../../../examples/shoalway.toml");

/// Does a command below `config`.
pub(super) fn config(command: &ConfigCommand, request: &Request, output: &Output) -> io::Result<Exit> {
    match command {
        ConfigCommand::Init => {
            if output.is_json() { output.json(&json!({ "file": FULL })) } else { output.text(FULL) }?;
            Ok(Exit::Ok)
        }
        ConfigCommand::Check => check(request, output),
        ConfigCommand::Show { defaults, origin } => {
            let origin = if *origin { Origin::Shown } else { Origin::Hidden };
            if *defaults { show(origin, &Request::default(), output) } else { show(origin, request, output) }
        }
        ConfigCommand::Explain { key } => explain(key.as_deref(), output),
        ConfigCommand::Schema => {
            let text = serde_json::to_string_pretty(&json_schema()).map_err(io::Error::other)?;
            output.text(&format!("{text}\n"))?;
            Ok(Exit::Ok)
        }
    }
}

fn check(request: &Request, output: &Output) -> io::Result<Exit> {
    let report = match load(request) {
        Ok(loaded) => loaded.report,
        Err(report) => *report,
    };
    show_report(&report, Ending::Check, output)?;
    if report.errors() > 0 {
        return Ok(Exit::BadConfig);
    }
    if !output.is_json() {
        let what = request.file.as_ref().map(|path| path.display().to_string());
        output.text(&format!("{}: no mistakes\n", what.unwrap_or_else(|| "no file, defaults".to_owned())))?;
    }
    Ok(Exit::Ok)
}

fn show(origin: Origin, request: &Request, output: &Output) -> io::Result<Exit> {
    let view = match loaded(request, output)? {
        Ok(loaded) => loaded.view,
        Err(exit) => return Ok(exit),
    };
    if output.is_json() {
        output.json(&view.to_json())?;
        return Ok(Exit::Ok);
    }
    output.text(&view.to_toml(origin))?;
    Ok(Exit::Ok)
}

fn explain(key: Option<&str>, output: &Output) -> io::Result<Exit> {
    if let Some(code) = key.and_then(Code::parse) {
        let entry = code.entry();
        let word = entry.severity.word();
        if output.is_json() {
            let value = json!({ "code": entry.id, "severity": word, "title": entry.title, "text": entry.explanation });
            output.json(&value)?;
        } else {
            output.text(&format!("{word}[{}]: {}\n\n{}\n", entry.id, entry.title, entry.explanation))?;
        }
        return Ok(Exit::Ok);
    }
    let root = Shape::of_file();
    let key = key.unwrap_or_default();
    let parts: Vec<String> = key.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let Some(shape) = root.at(&parts) else {
        let paths = root.paths();
        let all: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let names: Vec<String> = all.iter().map(|path| last(path)).collect();
        let name = nearest(&last(key), names.iter().map(String::as_str));
        let near = all.iter().copied().find(|path| Some(last(path).as_str()) == name);
        let hint = near.map_or_else(
            || "`shoalway config explain` lists all keys".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        output.failure(&format!("no key `{key}`"), &hint)?;
        return Ok(Exit::Failed);
    };
    if output.is_json() { output.json(&described(key, shape)) } else { output.text(&explained(key, shape)) }?;
    Ok(Exit::Ok)
}

/// The key and, for a table, all keys below it.
fn described(key: &str, shape: &Shape) -> Value {
    let below = shape.paths();
    let keys: Vec<Value> =
        below.iter().filter(|(path, _)| !path.is_empty()).map(|(path, at)| one(path, at)).collect();
    let mut value = one(key, shape);
    if let (Value::Object(map), false) = (&mut value, keys.is_empty()) {
        map.insert("keys".to_owned(), Value::Array(keys));
    }
    value
}

fn one(key: &str, shape: &Shape) -> Value {
    let scalar = !matches!(shape.kind, Kind::Table(_) | Kind::Named(_));
    let default = shape.default.clone().filter(|_| scalar);
    json!({ "key": key, "takes": shape.kind.words(), "default": default, "text": shape.doc })
}

fn explained(key: &str, shape: &Shape) -> String {
    let mut lines = Vec::new();
    match &shape.kind {
        Kind::Table(_) | Kind::Named(_) => {
            if !key.is_empty() {
                lines.extend([format!("[{key}]"), shape.doc.clone(), String::new()]);
            }
            let paths = shape.paths();
            let width = paths.iter().map(|(path, _)| path.len()).max().unwrap_or(0);
            lines
                .extend(paths.iter().map(|(path, at)| format!("{path:width$}  {}", first_sentence(&at.doc))));
        }
        Kind::Choice(words) => {
            lines.extend([key.to_owned(), shape.doc.clone(), String::new()]);
            lines.extend(words.iter().map(|(word, meaning)| format!("  \"{word}\": {meaning}")));
        }
        Kind::Text { .. } | Kind::Texts | Kind::Integer { .. } | Kind::Boolean => {
            lines.extend([
                key.to_owned(),
                shape.doc.clone(),
                String::new(),
                format!("Takes {}.", shape.kind.words()),
            ]);
        }
    }
    if let (Some(default), false) = (&shape.default, matches!(shape.kind, Kind::Table(_) | Kind::Named(_))) {
        lines.push(format!("Default: {default}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained_with_its_values_and_default() {
        let root = Shape::of_file();
        let level = explained("proxy.level", root.at(&["proxy".into(), "level".into()]).unwrap());
        assert!(level.contains("\"elite\": Adds nothing") && level.contains("Default: \"elite\""), "{level}");
        let time =
            explained("limits.head_timeout", root.at(&["limits".into(), "head_timeout".into()]).unwrap());
        assert!(time.ends_with("Takes a time in quotes, such as \"10s\".\nDefault: \"10s\"\n"), "{time}");
        let all = explained("", &root);
        assert_eq!(all.lines().count(), root.paths().len());
    }
}
