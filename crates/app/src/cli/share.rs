//! `share` and `join`: invitations given and taken.
//!
//! A link is a secret and names a place: it is printed once, taken from standard input or a file, and stored for its owner
//! alone. What a node lets in is changed in its folder, where the running node sees it. Not here: links themselves
//! (`overlay-proto`).

use super::{Exit, Output, loaded};
use crate::config::Request;
use crate::config::settings::NodeSettings;
use clap::{Args, Subcommand};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use shoalway_overlay::keys::files;
use shoalway_overlay::keys::gates::{EVERYBODY, SHARED};
use shoalway_overlay::keys::store::KeyStore;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::{DELEGATION_BYTES, Delegation};
use shoalway_overlay_proto::invite::{Gate, Invite, InvitedEntry};
use shoalway_overlay_proto::opener::GateKeeper;
use shoalway_types::wallet::Address;
use shoalway_wallet::{from_hex, to_hex};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest text that may hold a link.
const LONGEST: u64 = 16 << 10;

/// Commands below `share`.
#[derive(Subcommand)]
pub enum ShareCommand {
    /// Print a link that lets its holder in through this node
    Link(LinkArgs),
    /// Show for whom there are links
    List,
    /// Let the holders of a guest's link in no more; `everybody` for the link without a name
    Revoke {
        /// The guest
        guest: String,
    },
}

/// Flags of `share link`.
#[derive(Args)]
pub struct LinkArgs {
    /// For how long one may join with it, such as 7d or 12h
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = time)]
    pub expires: Duration,
    /// A link for one guest, which can be revoked alone; else one that all guests share
    #[arg(long, value_name = "NAME", conflicts_with = "nodes")]
    pub guest: Option<String>,
    /// A link for operators of other nodes, for `directory` in their [node]
    #[arg(long)]
    pub nodes: bool,
}

/// Flags of `join`.
#[derive(Args)]
pub struct JoinArgs {
    /// File with the link; else it is read from standard input
    pub file: Option<PathBuf>,
    /// The link itself. Every user of this machine can read arguments, and shells remember them
    #[arg(long, value_name = "LINK", conflicts_with = "file")]
    pub insecure_argument: Option<String>,
    /// Where to store it
    #[arg(long, value_name = "FILE", default_value = "home.invite")]
    pub out: PathBuf,
}

fn time(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(at).unwrap_or((text, ""));
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a number and m, h or d".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_no_number| "a number and m, h or d".to_owned())?;
    let time = count.checked_mul(seconds).filter(|all| (60..=366 * 86_400).contains(all));
    time.map(Duration::from_secs).ok_or_else(|| "1m to 366d".to_owned())
}

/// Does a command below `share`.
pub(super) fn share(command: &ShareCommand, request: &Request, output: &Output) -> io::Result<Exit> {
    let settings = match loaded(request, output)? {
        Ok(loaded) => loaded.settings,
        Err(exit) => return Ok(exit),
    };
    let Some(node) = settings.node else {
        output.failure("this configuration has no [node]", "links lead to a node: `shoalway node setup`")?;
        return Ok(Exit::Failed);
    };
    let done = match command {
        ShareCommand::Link(args) => link(args, &node, now()).map(|link| said_link(args, &link)),
        ShareCommand::List => list(&node, now()),
        ShareCommand::Revoke { guest } => revoke(guest, &node, now()),
    };
    answer(done, output)
}

fn answer(done: Result<(Value, String), String>, output: &Output) -> io::Result<Exit> {
    match done {
        Ok((value, text)) => {
            if output.is_json() {
                output.json(&value)?
            } else {
                output.text(&text)?
            }
            Ok(Exit::Ok)
        }
        Err(message) => {
            output.failure(&message, "")?;
            Ok(Exit::Failed)
        }
    }
}

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn store(node: &NodeSettings, now: UnixTime) -> Result<KeyStore, String> {
    let store = KeyStore::open(&node.state.join("keys"), now, &mut UnwrapErr(SysRng));
    store.map_err(|error| error.to_string())
}

/// The wallet that a node's delegation is of.
fn address(node: &NodeSettings) -> Result<Address, String> {
    let text = files::read_text(&node.delegation).map_err(|error| error.to_string())?;
    let text =
        text.ok_or_else(|| format!("{} is not there: `shoalway key rotate`", node.delegation.display()))?;
    let bytes = from_hex::<DELEGATION_BYTES>(text.trim_end()).map_err(|error| error.to_string())?;
    Delegation::parse(&*bytes).map(|signed| signed.terms.node).map_err(|error| error.to_string())
}

/// A link to a node, as its settings and its folder say.
///
/// # Errors
/// What is wrong, in words.
pub fn link(args: &LinkArgs, node: &NodeSettings, now: UnixTime) -> Result<String, String> {
    let mut store = store(node, now)?;
    if store.links.is_empty() {
        store.make_link(now, &mut UnwrapErr(SysRng)).map_err(|error| error.to_string())?;
    }
    let expires = now.plus(args.expires.as_secs());
    let gate = match (&args.guest, args.nodes) {
        (Some(name), _) => {
            let line = store.gates.for_guest(name, None, now, &mut UnwrapErr(SysRng));
            let gate = line.map_err(|error| error.to_string())?.gate.clone();
            store.gates.write(&store.gates_path()).map_err(|error| error.to_string())?;
            gate
        }
        (None, nodes) => {
            let slot = if nodes { GateKeeper::LINK_GATE } else { SHARED };
            store.gates.of_slot(slot).ok_or("the node has no gates")?.gate.clone()
        }
    };
    let link_key = *store.links.last().ok_or("the node has no key for links")?.pair.public();
    let node_address = address(node)?;
    let entry = |endpoint: &shoalway_overlay_proto::descriptor::Endpoint| InvitedEntry {
        node: node_address,
        link_key,
        gate: Gate(gate.clone()),
        endpoint: endpoint.clone(),
    };
    let entries = node.endpoints.iter().map(entry).collect();
    Invite { network: node.network, expires, entries }.link().map_err(|error| error.to_string())
}

fn said_link(args: &LinkArgs, link: &str) -> (Value, String) {
    let value = json!({ "ok": true, "link": link, "guest": args.guest, "nodes": args.nodes });
    // The link alone on standard output, so that it can be piped.
    (value, format!("{link}\n"))
}

fn list(node: &NodeSettings, now: UnixTime) -> Result<(Value, String), String> {
    let store = store(node, now)?;
    let guests = store.gates.lines().iter().filter(|line| line.slot >= SHARED);
    let names: Vec<&str> = guests.map(|line| line.name.as_str()).collect();
    Ok((json!({ "guests": names }), names.iter().map(|name| format!("{name}\n")).collect()))
}

fn revoke(guest: &str, node: &NodeSettings, now: UnixTime) -> Result<(Value, String), String> {
    let mut store = store(node, now)?;
    if !store.gates.revoke(guest, now, &mut UnwrapErr(SysRng)) {
        return Err(format!("there is no guest `{guest}`: `shoalway share list`"));
    }
    store.gates.write(&store.gates_path()).map_err(|error| error.to_string())?;
    let text = if guest == EVERYBODY {
        "All links without a name are worth nothing now; links that stand go on until they end.\n".to_owned()
    } else {
        format!("The link of `{guest}` is worth nothing now; what stands goes on until it ends.\n")
    };
    Ok((json!({ "ok": true, "guest": guest }), text))
}

/// Takes an invitation: checks it, stores it, says what it is.
pub(super) fn join(args: &JoinArgs, output: &Output) -> io::Result<Exit> {
    answer(take(args, now()), output)
}

fn take(args: &JoinArgs, now: UnixTime) -> Result<(Value, String), String> {
    let text = match (&args.insecure_argument, &args.file) {
        (Some(link), _) => link.clone(),
        (None, Some(path)) => {
            let text = files::read_text(path).map_err(|error| error.to_string())?;
            text.ok_or_else(|| format!("{} is not there", path.display()))?.to_string()
        }
        (None, None) => {
            let mut text = String::new();
            let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
            read.map_err(|error| format!("standard input: {error}"))?;
            text
        }
    };
    let invite = Invite::parse(&text).map_err(|error| error.to_string())?;
    // Whether it is a lab stands in the network's file, which comes through the entry.
    invite.check(true, now).map_err(|error| error.to_string())?;
    let is_public = invite.check(false, now).is_ok();
    keep(&args.out, text.trim())?;
    let id = to_hex(&invite.network).to_string();
    let nodes: Vec<String> = invite.entries.iter().map(|entry| entry.node.to_string()).collect();
    let value = json!({
        "ok": true,
        "file": args.out,
        "network": id,
        "entries": nodes,
        "expires": invite.expires.0,
        "lab": !is_public,
    });
    let place = if is_public { "" } else { "It leads to a private address, which only a lab permits.\n" };
    let text = format!(
        "An invitation to the network {id}, through {}\n{place}Stored in {}. Use it with:\n\n[overlay]\ninvite = \"{}\"\n",
        nodes.join(" "),
        args.out.display(),
        args.out.display()
    );
    Ok((value, text))
}

fn keep(path: &Path, link: &str) -> Result<(), String> {
    let before = files::read_text(path).map_err(|error| error.to_string())?.unwrap_or_default();
    if before.lines().any(|line| line.trim() == link) {
        return Ok(());
    }
    files::replace(path, format!("{}{link}\n", *before).as_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_bounds() {
        for (text, wanted) in [
            ("7d", Some(604_800)),
            ("12h", Some(43_200)),
            ("1m", Some(60)),
            ("0d", None),
            ("367d", None),
            ("7", None),
            ("d", None),
            ("7w", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(time(text).ok(), wanted.map(Duration::from_secs), "{text}");
        }
    }
}
