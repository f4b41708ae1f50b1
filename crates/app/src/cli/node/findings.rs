//! What was found about a node: each with its state, and a remedy where there is something to do.
//!
//! Not here: what is done about it.

use super::{SetupArgs, is_lab};
use crate::config::settings::NodeSettings;
use crate::config::{Report, Request, Surroundings, load};
use serde_json::{Value, json};
use shoalway_net::listener::bind_beside;
use shoalway_overlay::keys::files;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{DELEGATION_BYTES, Delegation};
use shoalway_wallet::from_hex;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Good,
    Doubtful,
    Wrong,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: State,
    what: String,
    remedy: String,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { state: State::Good, what: what.into(), remedy: String::new() }
    }

    fn doubtful(what: impl Into<String>, remedy: &str) -> Self {
        Self { state: State::Doubtful, what: what.into(), remedy: remedy.to_owned() }
    }

    fn wrong(what: impl Into<String>, remedy: &str) -> Self {
        Self { state: State::Wrong, what: what.into(), remedy: remedy.to_owned() }
    }

    const fn word(&self) -> &'static str {
        match self.state {
            State::Good => "good",
            State::Doubtful => "doubtful",
            State::Wrong => "wrong",
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "state": self.word(), "what": self.what, "remedy": self.remedy })
    }

    pub(super) fn to_text(&self) -> String {
        let remedy =
            if self.remedy.is_empty() { String::new() } else { format!("\n           {}", self.remedy) };
        format!("{:>8}  {}{remedy}\n", self.word(), self.what)
    }
}

/// What is looked at.
pub(super) struct Looked<'a> {
    pub(super) node: &'a NodeSettings,
    /// Whether the backup must be proven.
    pub(super) proven: bool,
}

/// What a section that is not in force yet would be.
pub(super) fn of_section(
    section: &str,
    args: &SetupArgs,
    request: &Request,
) -> Result<Vec<Finding>, Box<Report>> {
    let name = "node-setup.toml";
    let surroundings: Surroundings =
        request.surroundings.clone().with_file(name, format!("version = 1\n{section}"));
    let loaded = load(&Request { file: Some(name.into()), overrides: Vec::new(), surroundings })?;
    let Some(node) = &loaded.settings.node else { return Ok(Vec::new()) };
    let proven = !args.unproven_backup && !is_lab(&args.network);
    let mut all = of_node(&Looked { node, proven });
    all.push(match bind_beside(args.listen, 1, &[]) {
        Ok(_closed_again) => Finding::good(format!("{} can be listened on", args.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::doubtful(
            format!("somebody listens on {} already", args.listen),
            "if that is not this program, take another port or stop it",
        ),
        Err(error) => Finding::wrong(
            format!("{} cannot be listened on: {error}", args.listen),
            "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        ),
    });
    Ok(all)
}

/// What the files of a node are.
pub(super) fn of_node(looked: &Looked<'_>) -> Vec<Finding> {
    let node = looked.node;
    let mut all = vec![delegation(node), node_key(node)];
    all.push(backup(node, looked.proven));
    all.push(if node.endpoints.is_empty() {
        Finding::wrong("no address under which others reach it", "`public` names one")
    } else {
        Finding::good(format!("{} addresses; try them from elsewhere with a browser", node.endpoints.len()))
    });
    all
}

fn signed(node: &NodeSettings) -> Option<Delegation> {
    let text = files::read_text(&node.delegation).ok()??;
    Delegation::parse(&*from_hex::<DELEGATION_BYTES>(text.trim_end()).ok()?).ok()
}

fn delegation(node: &NodeSettings) -> Finding {
    const ROTATE: &str = "`shoalway key rotate --network FILE --roles entry,exit`";
    if let Err(error) = files::read_text(&node.delegation) {
        return Finding::wrong(error.to_string(), ROTATE);
    }
    let Some(signed) = signed(node) else {
        return Finding::wrong(format!("{} holds no delegation", node.delegation.display()), ROTATE);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match signed.check(&node.network, UnixTime(now)) {
        Err(error) => Finding::wrong(error.to_string(), ROTATE),
        Ok(_) if signed.terms.is_withdrawal() => Finding::wrong("the wallet has withdrawn this node", ROTATE),
        Ok(_) => {
            let days = signed.terms.not_after.0.saturating_sub(now) / 86_400;
            let what = format!("{} may be {} for {days} more days", signed.terms.node, signed.terms.roles);
            if days < 5 { Finding::doubtful(what, ROTATE) } else { Finding::good(what) }
        }
    }
}

fn node_key(node: &NodeSettings) -> Finding {
    let read = files::read_text(&node.node_key);
    let seed = match read {
        Err(error) => return Finding::wrong(error.to_string(), "`shoalway key rotate` makes a new one"),
        Ok(None) => return Finding::wrong("the node key is missing", "`shoalway key rotate` makes it"),
        Ok(Some(text)) => from_hex::<32>(text.trim_end()),
    };
    let public = seed.map(|seed| SecretKey::from_seed(&seed).public());
    match (public, signed(node)) {
        (Ok(public), Some(signed)) if public == signed.terms.node_key => Finding::good("the node key fits"),
        (Ok(_) | Err(_), _) => {
            Finding::wrong("the node key is not the one that the wallet has signed", "`shoalway key rotate`")
        }
    }
}

/// The backup may be on another machine, together with the wallet; then nothing can be said here.
fn backup(node: &NodeSettings, must_be_proven: bool) -> Finding {
    const PROVE: &str = "`shoalway key verify-backup` asks for three words of it";
    let path = node.delegation.with_extension("backup");
    match files::read_text(&path) {
        Err(error) => Finding::wrong(error.to_string(), PROVE),
        Ok(None) => Finding::doubtful("the wallet is elsewhere; so is the proof of its backup", PROVE),
        Ok(Some(text)) => {
            let value: Option<Value> = serde_json::from_str(&text).ok();
            let proven = value.and_then(|value| value.get("proven")?.as_u64());
            match (proven, must_be_proven) {
                (Some(_), _) => Finding::good("the wallet's words were proven to be on paper"),
                (None, true) => {
                    Finding::wrong("nobody has proven that the wallet's words are on paper", PROVE)
                }
                (None, false) => Finding::doubtful("nobody has proven that the words are on paper", PROVE),
            }
        }
    }
}

/// What the running node says of itself.
pub(super) fn of_running(status: Option<&Value>) -> Vec<Finding> {
    let Some(node) = status.filter(|node| !node.is_null()) else {
        return vec![Finding::doubtful("no node is running with this configuration", "`shoalway run`")];
    };
    let mut all = Vec::new();
    if let Some(trouble) = node.get("trouble").and_then(Value::as_str) {
        all.push(Finding::wrong(trouble, "the node goes on with what it had"));
    }
    all.push(match node.get("known").and_then(Value::as_bool) {
        Some(true) => Finding::good("the network knows this node"),
        Some(false) | None => Finding::doubtful(
            "the network does not know this node yet",
            "its wallet must be on the roll of the directory; a new node waits for the next snapshot",
        ),
    });
    let age = node.pointer("/directory/age").and_then(Value::as_str);
    all.push(match age {
        Some("normal") => Finding::good("the directory is fresh"),
        Some(age) => Finding::wrong(
            format!("the directory is {age}"),
            "is the clock right, and the directory reachable?",
        ),
        None => Finding::doubtful("it has no directory yet", "it asks every few minutes"),
    });
    all
}
