//! The commands that ask the running proxy: `status`, `reload`, `drain`, `healthcheck`.
//!
//! They find it by the control socket of their own configuration. No answer there is exit code 69. Not here: the
//! other end (`admin`).

mod ask;
mod certs;
mod node;
mod text;
mod upstreams;

pub use certs::{CertAsk, cert};
pub use node::{drain_node, flows, node, node_status};
pub use upstreams::upstream;

use crate::cli::{Exit, Output, show_report};
use crate::config::{Ending, Request, load};
use ask::{Answer, AskError, Asker};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often `drain` looks whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(200);
/// How often `drain` says how much is left.
const SAY: Duration = Duration::from_secs(2);

/// Shows what the running proxy does.
///
/// # Errors
/// When writing fails.
pub fn status(request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let answer = match asker.get("/status") {
            Ok(answer) => answer,
            Err(error) => return away(asker, &error, output),
        };
        let Some(value) = answer.json().filter(|_| answer.status == 200) else { return odd(output) };
        if output.is_json() {
            output.json(&value)?;
        } else {
            output.text(&text::status(&value))?;
            for (key, text) in
                [("overlay", node::overlay_text as fn(&Value) -> String), ("node", node::node_text)]
            {
                if let Some(part) = value.get(key).filter(|part| !part.is_null()) {
                    output.text(&text(part))?;
                }
            }
        }
        Ok(Exit::Ok)
    })
}

/// Lets the running proxy load its configuration again. What is wrong with it is said by the proxy.
///
/// # Errors
/// When writing fails.
pub fn reload(request: &Request, output: Output) -> io::Result<Exit> {
    // The proxy's file may be just what is broken, so mistakes in it must not keep us from asking.
    with_proxy(request, output, |asker| {
        let answer = match asker.post("/reload", ask::SLOW) {
            Ok(answer) => answer,
            Err(error) => return away(asker, &error, output),
        };
        let Some(value) = answer.json() else { return odd(output) };
        let (ok, text) = (
            value.get("ok") == Some(&json!(true)),
            value.get("text").and_then(Value::as_str).unwrap_or_default(),
        );
        if output.is_json() {
            output.json(value.get("report").unwrap_or(&value))?;
        } else if ok {
            output.complain(text)?;
            output.text("Reloaded: the new configuration is in force.\n")?;
        } else {
            output.complain(text)?;
        }
        Ok(if ok { Exit::Ok } else { exit(&value) })
    })
}

/// Lets the running proxy finish and waits until it has ended.
///
/// # Errors
/// When writing fails.
pub fn drain(request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let begun = Instant::now();
        match asker.post("/drain", ask::USUAL) {
            Ok(answer) if answer.status == 202 => say(&answer, output)?,
            Ok(_) => return odd(output),
            Err(error) => return away(asker, &error, output),
        }
        let mut said = Instant::now();
        loop {
            sleep(LOOK);
            match asker.get("/status") {
                Ok(answer) if said.elapsed() >= SAY => {
                    said = Instant::now();
                    say(&answer, output)?;
                }
                Ok(_) => {}
                Err(AskError::Away(_)) => break,
                // It was ending while we asked, most likely: the next question tells.
                Err(AskError::Broken(_)) => {}
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        if output.is_json() {
            output.json(&json!({ "ok": true, "ended": true, "seconds": seconds }))?;
        } else {
            output.text(&format!("Ended after {seconds:.1} s.\n"))?;
        }
        Ok(Exit::Ok)
    })
}

fn say(answer: &Answer, output: Output) -> io::Result<()> {
    let connections = answer.json().and_then(|value| value.get("connections")?.as_u64()).unwrap_or(0);
    match connections {
        _ if output.is_json() => Ok(()),
        0 => output.complain("Draining.\n"),
        1 => output.complain("Draining: 1 connection left.\n"),
        n => output.complain(&format!("Draining: {n} connections left.\n")),
    }
}

/// Where the proxy that answers at this socket takes clients, each with whether inside TLS; nothing when none answers.
#[must_use]
pub fn listeners(socket: &Path) -> Vec<(SocketAddr, bool)> {
    let status = Asker::new(socket.to_owned()).get("/status").ok().and_then(|answer| answer.json());
    let listeners = status.as_ref().and_then(|status| status.get("listeners")?.as_array());
    let listener = |one: &Value| {
        let tls = one.get("tls").and_then(Value::as_bool).unwrap_or(false);
        Some((one.get("address")?.as_str()?.parse().ok()?, tls))
    };
    listeners.into_iter().flatten().filter_map(listener).collect()
}

/// Whether the running proxy serves: 0, or 1 when it does not, or 69 when there is none.
///
/// # Errors
/// When writing fails.
pub fn healthcheck(request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let answer = match asker.get("/readyz") {
            Ok(answer) => answer,
            Err(error) => return away(asker, &error, output),
        };
        let (ready, state) = (answer.status == 200, answer.body.trim().to_owned());
        if output.is_json() {
            output.json(&json!({ "ok": ready, "state": state }))?;
        } else {
            output.text(&format!("{state}\n"))?;
        }
        Ok(if ready { Exit::Ok } else { Exit::Failed })
    })
}

/// The socket is that of the configuration; of a broken one only where the socket is can be guessed.
fn with_proxy(
    request: &Request,
    output: Output,
    then: impl FnOnce(&Asker) -> io::Result<Exit>,
) -> io::Result<Exit> {
    match load(request) {
        Ok(loaded) => then(&Asker::new(loaded.settings.admin.socket)),
        Err(report) => match socket_alone(request) {
            Some(socket) => then(&Asker::new(socket)),
            None => {
                show_report(&report, Ending::Check, &output)?;
                Ok(Exit::BadConfig)
            }
        },
    }
}

/// Where the socket is when the configuration has mistakes: what `-o admin.socket` says, else what the file says by
/// itself, else the default.
fn socket_alone(request: &Request) -> Option<std::path::PathBuf> {
    let named = request.overrides.iter().rev().find(|text| text.starts_with("admin.socket="));
    let written = request.file.as_ref().and_then(|file| {
        let text = request.surroundings.read_text(file).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("admin")?.get("socket")?.as_str()?.to_owned())
    });
    let overrides = match (named, written) {
        (Some(named), _) => vec![named.clone()],
        (None, Some(path)) => {
            // Relative to the file that names it, as always.
            let dir = request.file.as_ref().and_then(|file| file.parent()).unwrap_or(Path::new(""));
            return Some(dir.join(path));
        }
        (None, None) => Vec::new(),
    };
    let bare = Request { file: None, overrides, surroundings: request.surroundings.clone() };
    load(&bare).ok().map(|loaded| loaded.settings.admin.socket)
}

fn exit(value: &Value) -> Exit {
    let code = value.get("exit").and_then(Value::as_u64).unwrap_or(1);
    let known = [Exit::BadConfig, Exit::NotPermitted, Exit::TryLater];
    known.into_iter().find(|exit| u64::from(exit.code()) == code).unwrap_or(Exit::Failed)
}

fn away(asker: &Asker, error: &AskError, output: Output) -> io::Result<Exit> {
    let path = asker.path().display();
    match error {
        AskError::Away(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            output.failure(&format!("the proxy at {path} belongs to another user"), "ask as its user")?;
            Ok(Exit::NotPermitted)
        }
        AskError::Away(error) => {
            let hint = "start it with `shoalway run`, or name its socket: -o admin.socket=PATH";
            output.failure(&format!("no proxy is running at {path}: {error}"), hint)?;
            Ok(Exit::Away)
        }
        AskError::Broken(error) => {
            output.failure(&format!("the proxy at {path} gave no whole answer: {error}"), "")?;
            Ok(Exit::Failed)
        }
    }
}

fn odd(output: Output) -> io::Result<Exit> {
    output.failure("the proxy's answer is not understood", "is it of another version?")?;
    Ok(Exit::Failed)
}
