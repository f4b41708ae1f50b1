//! `shoalway upstream`: shows the upstreams of the running proxy and changes them without a reload.
//!
//! Not here: what a change does (`admin/upstreams`).

use super::ask::{self, AskError};
use super::{away, odd, with_proxy};
use crate::cli::{Exit, Output, UpstreamCommand};
use crate::config::Request;
use serde_json::{Value, json};
use std::io;

/// Shows or changes upstreams.
///
/// # Errors
/// When writing fails.
pub fn upstream(command: &UpstreamCommand, request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let answer = match body(command) {
            None => asker.get("/upstreams"),
            Some(body) => asker.post_json("/upstreams", &body, ask::USUAL),
        };
        match answer {
            Ok(answer) => match answer.json() {
                Some(value) => tell(answer.status, &value, output),
                None => odd(output),
            },
            Err(error @ (AskError::Away(_) | AskError::Broken(_))) => away(asker, &error, output),
        }
    })
}

/// What is asked for; none: to be shown.
fn body(command: &UpstreamCommand) -> Option<Value> {
    let (word, at, weight) = match command {
        UpstreamCommand::List => return None,
        UpstreamCommand::Drain(at) => ("drain", at, None),
        UpstreamCommand::Resume(at) => ("resume", at, None),
        UpstreamCommand::Add(at) => ("add", at, None),
        UpstreamCommand::Remove(at) => ("remove", at, None),
        UpstreamCommand::Weight { at, weight } => ("weight", at, *weight),
    };
    Some(json!({ "upstream": at.upstream, "do": word, "endpoint": at.endpoint, "weight": weight }))
}

fn tell(status: u16, value: &Value, output: Output) -> io::Result<Exit> {
    if status != 200 {
        let error = value.get("error").and_then(Value::as_str).unwrap_or("refused");
        output.failure(error, "`shoalway upstream list` shows what there is")?;
        return Ok(Exit::Failed);
    }
    if output.is_json() {
        output.json(value)?;
        return Ok(Exit::Ok);
    }
    let all = value.get("upstreams").and_then(Value::as_array).cloned();
    let all = all.unwrap_or_else(|| vec![value.clone()]);
    if all.is_empty() {
        output.text("no upstreams: there are no sites and no streams\n")?;
    }
    output.text(&all.iter().map(shown).collect::<String>())?;
    Ok(Exit::Ok)
}

/// An upstream with a line for each endpoint.
pub(super) fn shown(upstream: &Value) -> String {
    let word = |key: &str| upstream.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let count = |key: &str| upstream.get(key).and_then(Value::as_u64).unwrap_or(0);
    let endpoints = upstream.get("endpoints").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut text = format!("{}  {} of {} healthy\n", word("name"), count("healthy"), endpoints.len());
    let width = endpoints.iter().map(|endpoint| name(endpoint).len()).max().unwrap_or(0);
    for endpoint in &endpoints {
        let number = |key: &str| endpoint.get(key).and_then(Value::as_u64).unwrap_or(0);
        text.push_str(&format!(
            "  {:width$}  {}  weight {}  {} under way  {} ok, {} failed\n",
            name(endpoint),
            state(endpoint),
            number("weight"),
            number("in_flight"),
            number("successes"),
            number("failures"),
        ));
    }
    text
}

fn name(endpoint: &Value) -> &str {
    endpoint.get("endpoint").and_then(Value::as_str).unwrap_or("?")
}

/// The one word that says most.
fn state(endpoint: &Value) -> String {
    let is = |key: &str| endpoint.get(key).and_then(Value::as_bool).unwrap_or(false);
    let check = endpoint.get("check").and_then(Value::as_str).unwrap_or("unknown");
    let last = endpoint.get("last_check").and_then(Value::as_str);
    match (is("draining"), is("ejected"), check, last) {
        (true, _, _, _) => "draining".to_owned(),
        (_, _, "down", Some(why)) => format!("down ({why})"),
        (_, _, "down", None) => "down".to_owned(),
        (_, true, _, _) => "put aside".to_owned(),
        (_, _, "up", _) => "up".to_owned(),
        (_, _, _, _) => "unchecked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_shown_with_the_one_word_that_says_most() {
        let endpoint = |draining, ejected, check: &str, why: Option<&str>| {
            json!({ "endpoint": "http://192.0.2.1:80", "draining": draining, "ejected": ejected, "check": check,
                "last_check": why, "weight": 1, "in_flight": 2, "successes": 3, "failures": 4 })
        };
        for (value, wanted) in [
            (endpoint(true, true, "down", None), "draining"),
            (endpoint(false, true, "down", Some("timeout")), "down (timeout)"),
            (endpoint(false, true, "up", Some("ok")), "put aside"),
            (endpoint(false, false, "up", Some("ok")), "up"),
            (endpoint(false, false, "unknown", None), "unchecked"),
        ] {
            assert_eq!(state(&value), wanted);
        }
        let all = json!({ "name": "a", "healthy": 1, "endpoints": [endpoint(false, false, "up", None)] });
        let line = "  http://192.0.2.1:80  up  weight 1  2 under way  3 ok, 4 failed\n";
        assert_eq!(shown(&all), format!("a  1 of 1 healthy\n{line}"));
        assert_eq!(shown(&json!({})), "?  0 of 0 healthy\n");
    }
}
