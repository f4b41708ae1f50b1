//! Events for the program that started this one: with `--json` one JSON line each on standard output.
//!
//! `config_warnings` (the report), `listening` (listener, address), `ready`, `reloaded`, `reload_failed` (the report),
//! `draining` (connections), `stopped`, `failed` (code, error, hint). Without `--json` the same is said as messages. Not here: sd_notify (`run/notify`).

use serde_json::{Value, json};
use std::io::Write;

/// Where events go.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    json: bool,
}

impl Events {
    /// JSON lines, or messages.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was asked for.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// A socket listens.
    pub fn listening(self, listener: &str, address: &str) {
        if self.json {
            self.line(&json!({ "event": "listening", "listener": listener, "address": address }));
        } else {
            tracing::info!(listener, address, "listening");
        }
    }

    /// All listeners stand.
    pub fn ready(self) {
        if self.json {
            self.line(&json!({ "event": "ready" }));
        } else {
            tracing::info!("ready");
        }
    }

    /// The new configuration is in force.
    pub fn reloaded(self) {
        if self.json {
            self.line(&json!({ "event": "reloaded" }));
        }
        tracing::info!("reloaded");
    }

    /// The new configuration was refused; `report` and `text` say why.
    pub fn reload_failed(self, report: &Value, text: &str) {
        if self.json {
            self.line(&with_report("reload_failed", report));
        } else {
            complain(text);
        }
        tracing::warn!("the new configuration is refused; the old one stays in force");
    }

    /// The configuration works, but not as meant, perhaps.
    pub fn warnings(self, report: &Value, text: &str) {
        if self.json {
            self.line(&with_report("config_warnings", report));
        } else {
            complain(text);
        }
    }

    /// No new work is taken.
    pub fn draining(self, connections: u64) {
        if self.json {
            self.line(&json!({ "event": "draining", "connections": connections }));
        }
        tracing::info!(connections, "draining");
    }

    /// The end.
    pub fn stopped(self) {
        if self.json {
            self.line(&json!({ "event": "stopped" }));
        }
        tracing::info!("stopped");
    }

    /// The program could not start.
    pub fn failed(self, code: &str, error: &str, hint: &str) {
        if self.json {
            self.line(&json!({ "event": "failed", "ok": false, "code": code, "error": error, "hint": hint }));
        }
        let hint = if hint.is_empty() { String::new() } else { format!("  = {hint}\n") };
        complain(&format!("error[{code}]: {error}\n{hint}"));
    }

    /// A reader that went away is no reason to end: the proxy serves others.
    fn line(self, event: &Value) {
        let mut stdout = std::io::stdout().lock();
        drop(stdout.write_all(format!("{event}\n").as_bytes()));
        drop(stdout.flush());
    }
}

/// An event with everything that a report says.
fn with_report(event: &str, report: &Value) -> Value {
    let mut all = json!({ "event": event });
    if let (Value::Object(all), Value::Object(report)) = (&mut all, report) {
        all.extend(report.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    all
}

fn complain(text: &str) {
    // When standard error is gone there is nobody left to tell.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
