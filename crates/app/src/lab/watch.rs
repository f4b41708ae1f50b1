//! Tells what the lab does while it runs: what to try, a live table on a terminal, lines or JSON elsewhere.
//!
//! The overlay's board is read ten times a second. Everything that is shown is about this machine and its own person.
//! Not here: counting (`tally`).

use super::Lab;
use super::places::{ENTRIES, EXITS, PAGE, Part, object_host};
use super::tally::Tally;
use super::visitor::Loaded;
use serde_json::{Value, json};
use shoalway_overlay::client::status::FlowStatus;
use shoalway_overlay_proto::spread::Why;
use shoalway_types::wallet::Address;
use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};

/// Assumed where nobody says how wide a terminal is.
const WIDTH: usize = 100;

/// How things are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON object a line.
    Json,
    /// A line for each flow.
    Lines,
    /// A table that is drawn over itself.
    Live,
    /// A table at the end.
    Once,
}

/// Tells.
pub struct Watch {
    form: Form,
    parts: HashMap<Address, Part>,
    tally: Tally,
    /// Flows that were seen on the board.
    seen: u64,
    /// Lines of the table that stand on the terminal.
    drawn: usize,
}

impl Watch {
    /// In JSON or for people; `once`: for a lab that ends by itself.
    #[must_use]
    pub fn new(lab: &Lab, json: bool, once: bool) -> Self {
        let form = match (json, once) {
            (true, _) => Form::Json,
            (false, true) => Form::Once,
            (false, false) if std::io::stdout().is_terminal() => Form::Live,
            (false, false) => Form::Lines,
        };
        Self { form, parts: lab.parts.clone(), tally: Tally::default(), seen: 0, drawn: 0 }
    }

    /// Says what stands and what to try.
    pub fn greet(&self, lab: &Lab) {
        let (page, proxy) = (lab.page(), lab.proxy);
        let (spread, hops, exits) = (lab.options.spread, lab.options.hops, lab.options.exits);
        if self.form == Form::Json {
            let at = |name: &str, address: String| {
                put(&json!({ "event": "listening", "listener": name, "address": address }).to_string());
            };
            at("proxy", proxy.to_string());
            at("demo", lab.origin.to_string());
            for (part, address) in &lab.nodes {
                at(&part.label(), address.to_string());
            }
            return put(&json!({
                "event": "ready", "network": "lab", "proxy": proxy.to_string(), "page": page,
                "spread": spread.to_string(), "hops": hops, "active_exits": exits,
            })
            .to_string());
        }
        let who = format!("http://{}:{}/who", object_host(1), lab.origin.port());
        put(&format!(
            "shoalway lab: a whole network in this process, for trying it out\n\n\
             \x20 Network  {ENTRIES} entries, {EXITS} exits ({exits} in use), paths of {hops} hops, one exit for each {spread}\n\
             \x20 Proxy    {proxy}  HTTP and SOCKS; everything goes through the overlay\n\
             \x20 Page     {page}  42 objects on 42 hosts, reachable through the proxy alone\n\n\
             Try, in another terminal:\n\
             \x20 chromium --user-data-dir=/tmp/lab --proxy-server=http://{proxy} {page}\n\
             \x20 curl -x http://{proxy} {who}\n\
             \x20 curl -x socks5h://{proxy} {who}\n\n\
             Nothing leaves this machine and nothing on it was changed. Ctrl-C ends it."
        ));
        if self.form != Form::Once {
            put("");
        }
    }

    /// Tells of what is new on the board.
    pub fn look(&mut self, lab: &Lab) {
        let status = lab.overlay.shared().board.read();
        let new = usize::try_from(status.flowed.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        self.seen = status.flowed;
        let old = status.flows.len().saturating_sub(new);
        for flow in status.flows.iter().skip(old) {
            self.tell(flow);
        }
        if self.form == Form::Live && (new > 0 || self.drawn == 0) {
            self.draw();
        }
    }

    fn tell(&mut self, flow: &FlowStatus) {
        let host = flow.target.rsplit_once(':').map_or(flow.target.as_str(), |(host, _port)| host);
        let (exit, entry) = (self.parts.get(&flow.exit), self.parts.get(&flow.entry));
        let (Some(exit), Some(entry)) = (exit.copied(), entry.copied()) else { return };
        self.tally.flow(exit, host);
        let (from, why) = (exit.address(), why(flow.why));
        match self.form {
            Form::Json => put(&json!({
                "event": "flow", "host": host, "target": flow.target,
                "exit": exit.label(), "exit_address": from.to_string(), "exit_node": flow.exit.to_string(),
                "entry": entry.label(), "entry_node": flow.entry.to_string(), "why": why, "at_ms": flow.at_ms,
            })
            .to_string()),
            Form::Lines => {
                put(&format!("{} -> {} ({from}) by {}, {why}", flow.target, exit.label(), entry.label()))
            }
            Form::Live | Form::Once => {}
        }
    }

    fn draw(&mut self) {
        let (width, height) = size();
        let table = self.tally.table(width.saturating_sub(1));
        if table.len() + 1 >= height {
            // It would scroll away instead of being drawn over.
            put(&self.tally.sum());
            return;
        }
        let back = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
        put(&format!("{back}{}", table.join("\n")));
        self.drawn = table.len();
    }

    /// The end of a lab that was told to end.
    pub fn sum_up(&self) {
        match self.form {
            Form::Json => self.summary(json!({})),
            Form::Lines => put(&self.tally.sum()),
            Form::Live | Form::Once => {}
        }
    }

    /// What became of the page that the lab loaded itself. True when all of it came.
    pub fn visited(&self, loaded: &[Loaded]) -> bool {
        let failed: Vec<(&str, &str)> = loaded
            .iter()
            .filter_map(|one| Some((one.url.as_str(), one.exit.as_ref().err()?.as_str())))
            .collect();
        let ok = failed.is_empty();
        // The page itself is not one of its objects.
        let objects = loaded.len().saturating_sub(1);
        if self.form == Form::Json {
            let failed: Vec<Value> =
                failed.iter().map(|(url, why)| json!({ "url": url, "why": why })).collect();
            self.summary(json!({ "ok": ok, "objects": objects, "failed": failed }));
            return ok;
        }
        put(&format!("\n{}", self.tally.table(usize::MAX).join("\n")));
        for (url, why) in &failed {
            put(&format!("  missing: {url}: {why}"));
        }
        put(&format!("  {PAGE}: {} of {objects} objects came", objects.saturating_sub(failed.len())));
        ok
    }

    fn summary(&self, more: Value) {
        let mut all = json!({ "event": "summary" });
        for part in [self.tally.to_json(), more] {
            if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
                all.extend(part);
            }
        }
        put(&all.to_string());
    }
}

const fn why(why: Why) -> &'static str {
    match why {
        Why::Chosen => "chosen",
        Why::Pinned => "pinned",
        Why::Moved => "moved",
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
        Ok(_) | Err(_) => (WIDTH, 0),
    }
}

/// A reader that went away is no reason to end.
fn put(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(stdout.write_all(format!("{text}\n").as_bytes()));
    drop(stdout.flush());
}
