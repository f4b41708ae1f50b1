//! Where commands write: answers to standard output, complaints to standard error, JSON when asked for.
//!
//! The one place of the command line that prints. A reader that went away (`| head`) is an error of kind
//! `BrokenPipe`, which [`super::run`] takes for a quiet end.

use serde_json::Value;
use std::io::{self, Write};

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For text, or for JSON.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the answer is wanted in JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text to standard output as it is.
    ///
    /// # Errors
    /// When writing fails.
    pub fn text(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Writes a value on one line of standard output.
    ///
    /// # Errors
    /// When writing fails.
    pub fn json(&self, value: &Value) -> io::Result<()> {
        self.text(&format!("{value}\n"))
    }

    /// Writes text to standard error as it is.
    ///
    /// # Errors
    /// When writing fails.
    pub fn complain(&self, text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    /// Says why a command failed: `error: MESSAGE` and a hint, or `{"ok": false, "error", "hint"}`.
    ///
    /// # Errors
    /// When writing fails.
    pub fn failure(&self, message: &str, hint: &str) -> io::Result<()> {
        if self.json {
            return self.json(&serde_json::json!({ "ok": false, "error": message, "hint": hint }));
        }
        let hint = if hint.is_empty() { String::new() } else { format!("  = {hint}\n") };
        self.complain(&format!("error: {message}\n{hint}"))
    }
}
