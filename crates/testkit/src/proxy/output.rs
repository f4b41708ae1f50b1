//! What the program says: events on standard output, lines on standard error, each read by a thread as it comes.

use crate::wait::{PATIENCE, eventually};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Lines of one stream.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Lines {
    pub(super) fn read(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                theirs.lines.lock().expect("lines").push(String::from_utf8_lossy(&line).into_owned());
            }
            theirs.ended.store(true, Ordering::SeqCst);
        });
        Self(shared)
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.0.lines.lock().expect("lines").join("\n");
        text.push('\n');
        text
    }

    fn all(&self) -> Vec<String> {
        self.0.lines.lock().expect("lines").clone()
    }

    fn ended(&self) -> bool {
        self.0.ended.load(Ordering::SeqCst)
    }
}

/// The events of `run --json`.
#[derive(Debug)]
pub(super) struct Events(Lines);

impl Events {
    pub(super) fn read(stream: impl Read + Send + 'static) -> Self {
        Self(Lines::read(stream))
    }

    pub(super) fn text(&self) -> String {
        self.0.text()
    }

    pub(super) fn count(&self) -> usize {
        self.0.all().len()
    }

    fn all(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON event ({error}): {line}"))
        };
        self.0.all().iter().map(parse).collect()
    }

    #[track_caller]
    pub(super) fn wait_ready(&self, errors: &Lines) {
        eventually(PATIENCE, "the event `ready`", || {
            let ended = self.0.ended();
            let ready = self.all().iter().any(|event| event["event"] == "ready");
            assert!(ready || !ended, "the program ended before it was ready:\n{}", errors.text());
            ready.then_some(())
        });
    }

    /// The first event from place `from` on that has one of these names.
    #[track_caller]
    pub(super) fn next_of(&self, from: usize, names: &[&str]) -> Value {
        eventually(PATIENCE, &format!("an event of {names:?}"), || {
            let wanted = |event: &Value| names.iter().any(|name| event["event"] == *name);
            self.all().into_iter().skip(from).find(wanted)
        })
    }

    /// The address of the first listener with this name.
    #[track_caller]
    pub(super) fn listening(&self, listener: &str) -> String {
        let found = self.all().into_iter().find(|e| e["event"] == "listening" && e["listener"] == listener);
        let Some(event) = found else { panic!("no listener `{listener}` in\n{}", self.text()) };
        event["address"].as_str().expect("an address").to_owned()
    }
}
