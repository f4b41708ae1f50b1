//! `shoalway cert renew` and `cert dry-run`: the running proxy orders, because the authority looks for answers there.
//!
//! Not here: `cert list` (`cli/certs`), ordering (`cert`).

use super::ask::{AskError, Asker};
use super::{away, odd, with_proxy};
use crate::cli::{Exit, Output};
use crate::config::Request;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

/// Longest wait for one name: an order may take minutes, and another may be under way.
const PATIENCE: Duration = Duration::from_mins(8);

/// What the proxy is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertAsk {
    /// A new certificate for this name, now.
    Renew(String),
    /// A rehearsal for these names; for all when there are none.
    DryRun(Vec<String>),
}

/// Lets the running proxy renew or rehearse.
///
/// # Errors
/// When writing fails.
pub fn cert(ask: &CertAsk, request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let (word, names) = match ask {
            CertAsk::Renew(name) => ("renew", vec![name.clone()]),
            CertAsk::DryRun(names) if !names.is_empty() => ("dry-run", names.clone()),
            CertAsk::DryRun(_) => match all_names(asker) {
                Ok(names) => ("dry-run", names),
                Err(error) => return away(asker, &error, output),
            },
        };
        if names.is_empty() {
            output.failure("the proxy keeps no certificates", "no site has certificates by themselves")?;
            return Ok(Exit::Failed);
        }
        let mut exit = Exit::Ok;
        for name in names {
            match asker.post_json("/certs", &json!({ "do": word, "name": name }), PATIENCE) {
                Ok(answer) => match answer.json() {
                    Some(value) if tell(&value, output)? => {}
                    Some(value) => exit = super::exit(&value),
                    None => return odd(output),
                },
                Err(error) => return away(asker, &error, output),
            }
        }
        Ok(exit)
    })
}

fn all_names(asker: &Asker) -> Result<Vec<String>, AskError> {
    let answer = asker.get("/certs")?.json().unwrap_or_default();
    let all = answer.get("certificates").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |one: &Value| one.get("name").and_then(Value::as_str).map(str::to_owned);
    Ok(all.iter().filter_map(name).collect())
}

/// Says what came of one name; whether it is good.
fn tell(value: &Value, output: Output) -> io::Result<bool> {
    let ok = value.get("ok") == Some(&json!(true));
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    if output.is_json() {
        output.json(value)?;
    } else if ok {
        let done = value.get("done");
        let what = match done.and_then(|done| done.get("rehearsed_at")).and_then(Value::as_str) {
            Some("local") => "signed by the local authority, not kept".to_owned(),
            Some(at) => format!("rehearsed at {at}: all is well"),
            None => match done.and_then(|done| done.get("until")).and_then(Value::as_u64) {
                Some(until) => format!("renewed, valid until {}", crate::log::Moment::at(until)),
                None => "done".to_owned(),
            },
        };
        output.text(&format!("{}: {what}\n", word("name")))?;
    } else {
        let code = Some(word("code")).filter(|code| !code.is_empty());
        let code = code.map(|code| format!("{code}: ")).unwrap_or_default();
        output.failure(&format!("{code}{}", word("error")), word("hint"))?;
    }
    Ok(ok)
}
