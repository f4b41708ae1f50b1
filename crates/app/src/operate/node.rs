//! `node status`, `node drain`, and the running program's part of `why`: questions about the overlay.
//!
//! Not here: the other end (`admin`, `node/shown`).

use super::ask::{self, Asker};
use super::{away, odd, with_proxy};
use crate::cli::{Exit, Output};
use crate::config::Request;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// What a running node says of itself; none when nobody answers.
#[must_use]
pub fn node_status(socket: &Path) -> Option<Value> {
    let status = Asker::new(socket.to_owned()).get("/status").ok()?.json()?;
    status.get("node").cloned()
}

/// Through which exits flows to a host went; none when nobody answers.
#[must_use]
pub fn flows(socket: &Path, host: &str) -> Option<Value> {
    // A name in its canonical form has no character that a path would not take; anything else is not asked for.
    let is_plain =
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'));
    if !is_plain {
        return None;
    }
    Asker::new(socket.to_owned()).get(&format!("/overlay/{host}")).ok()?.json()
}

/// Shows what the running node does.
///
/// # Errors
/// When writing fails.
pub fn node(request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let answer = match asker.get("/status") {
            Ok(answer) => answer,
            Err(error) => return away(asker, &error, output),
        };
        let Some(value) = answer.json() else { return odd(output) };
        match value.get("node").filter(|node| !node.is_null()) {
            None => {
                output.failure("the running program is no node", "`shoalway node setup` writes [node]")?;
                Ok(Exit::Failed)
            }
            Some(node) if output.is_json() => output.json(node).map(|()| Exit::Ok),
            Some(node) => output.text(&node_text(node)).map(|()| Exit::Ok),
        }
    })
}

/// Lets the exit take no new connections.
///
/// # Errors
/// When writing fails.
pub fn drain_node(request: &Request, output: Output) -> io::Result<Exit> {
    with_proxy(request, output, |asker| {
        let answer = match asker.post("/node/drain", ask::USUAL) {
            Ok(answer) => answer,
            Err(error) => return away(asker, &error, output),
        };
        if answer.status != 202 {
            let value = answer.json().unwrap_or_default();
            let error = value.get("error").and_then(Value::as_str).unwrap_or("it did not");
            output.failure(error, "an entry or middle ends with `shoalway drain`")?;
            return Ok(Exit::Failed);
        }
        if output.is_json() {
            output.json(&json!({ "ok": true }))?;
        } else {
            output.text("The exit takes no new connections; a restart opens it again.\n")?;
        }
        Ok(Exit::Ok)
    })
}

/// The node as lines.
pub(super) fn node_text(node: &Value) -> String {
    let word = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let number = |key: &str| node.pointer(key).and_then(Value::as_u64).unwrap_or(0);
    let lab = if node.get("lab") == Some(&json!(true)) { " (lab)" } else { "" };
    let roles: Vec<&str> =
        node.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let known = if node.get("known") == Some(&json!(true)) { "known to" } else { "not known yet to" };
    let mut lines = vec![
        format!("node       {} as {}", word("address"), roles.join(", ")),
        format!("           {known} the network {}{lab}; site {}", word("network"), word("site")),
        format!("           {} sessions of clients", number("/clients")),
    ];
    if node.get("exit").is_some_and(|exit| !exit.is_null()) {
        let closed =
            if node.pointer("/exit/closed") == Some(&json!(true)) { "; takes no new ones" } else { "" };
        lines.push(format!(
            "           exit: {} paths, {} connections, {} refused, {} bytes up, {} down{closed}",
            number("/exit/circuits"),
            number("/exit/streams"),
            number("/exit/refused"),
            number("/exit/bytes_up"),
            number("/exit/bytes_down"),
        ));
    }
    lines.push(match node.pointer("/directory/number").and_then(Value::as_u64) {
        Some(at) => format!(
            "           directory {at}: {} nodes, {} members",
            number("/directory/nodes"),
            number("/directory/members")
        ),
        None => "           no directory yet".to_owned(),
    });
    if let Some(trouble) = node.get("trouble").and_then(Value::as_str) {
        lines.push(format!("           trouble: {trouble}"));
    }
    lines.join("\n") + "\n"
}

/// The local part as lines.
pub(super) fn overlay_text(overlay: &Value) -> String {
    let number = |key: &str| overlay.pointer(key).and_then(Value::as_u64).unwrap_or(0);
    let list = |key: &str| overlay.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let lab = if overlay.get("lab") == Some(&json!(true)) { " (lab)" } else { "" };
    let network = overlay.get("network").and_then(Value::as_str).unwrap_or("not known yet");
    let mut lines = vec![format!(
        "overlay    network {network}{lab}, {} hops, {} paths of which {} in stock, directory {}",
        number("/hops"),
        number("/circuits"),
        number("/stock"),
        number("/directory/number"),
    )];
    for entry in list("entries") {
        let node = entry.get("node").and_then(Value::as_str).unwrap_or("-");
        let state = match (entry.get("up") == Some(&json!(true)), entry.get("fault").and_then(Value::as_str))
        {
            (true, _) => "up".to_owned(),
            (false, Some(fault)) => format!("down: {fault}"),
            (false, None) => "not needed".to_owned(),
        };
        lines.push(format!("           entry {node} {state}"));
    }
    let exits: Vec<String> = list("exits").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if !exits.is_empty() {
        lines.push(format!("           exits {}", exits.join(" ")));
    }
    if let Some(trouble) = overlay.get("trouble").and_then(Value::as_str) {
        lines.push(format!("           trouble: {trouble}"));
    }
    lines.join("\n") + "\n"
}
