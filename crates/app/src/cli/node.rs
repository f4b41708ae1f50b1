//! `node setup` and `node doctor`: whether everything is there that a node needs, with a remedy for what is not.
//!
//! `setup` writes the section `[node]` when nothing is wrong. Not here: `node status` and `node drain`, which ask the running
//! program (`operate/node`).

mod findings;

use super::{Exit, Output, loaded};
use crate::config::Request;
use clap::{Args, Subcommand};
use findings::{Finding, Looked, State};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;
use shoalway_overlay_proto::network::Network;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Commands below `node`.
#[derive(Subcommand)]
pub enum NodeCommand {
    /// Check everything a node needs and write its section of the configuration
    Setup(Box<SetupArgs>),
    /// Show what the running node does
    Status,
    /// Check everything again, and what the running node has found out
    Doctor,
    /// Let the exit take no new connections; what is under way goes on
    Drain,
}

/// Flags of `node setup`.
#[derive(Args)]
pub struct SetupArgs {
    /// Network file
    #[arg(long, value_name = "FILE")]
    pub network: PathBuf,
    /// Host name of its site
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:443")]
    pub listen: SocketAddr,
    /// Address under which others reach it, when it is another
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub public: Option<SocketAddr>,
    /// Directory of files that everybody else sees
    #[arg(long, value_name = "DIR", required_unless_present = "cover_to")]
    pub cover_files: Option<PathBuf>,
    /// Server that everybody else sees
    #[arg(long, value_name = "URL", conflicts_with = "cover_files")]
    pub cover_to: Option<String>,
    /// Certificate chain of the site; else it is had by itself (acme)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Invitation to the directory, from the network's operator
    #[arg(long, value_name = "FILE", required_unless_present = "publish_key")]
    pub directory: Option<PathBuf>,
    /// Publish the network's directory with this key; may be given several times
    #[arg(long, value_name = "FILE", requires = "roll")]
    pub publish_key: Vec<PathBuf>,
    /// Wallets that take part in the network
    #[arg(long, value_name = "FILE")]
    pub roll: Option<PathBuf>,
    /// Name of the wallet, or the path of its .json file
    #[arg(long, value_name = "NAME", default_value = "node")]
    pub wallet: String,
    /// Certificates that other nodes' sites are trusted by, instead of those of this computer
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Folder for the node's own keys and what it knows of the network, when it is not the usual one
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Set it up although nobody has proven that the wallet's words are on paper
    #[arg(long)]
    pub unproven_backup: bool,
    /// Append the section to this file (`-`: print it)
    #[arg(long, value_name = "FILE", default_value = "shoalway.toml")]
    pub out: PathBuf,
}

/// Does `node setup` or `node doctor`.
pub(super) fn setup(args: &SetupArgs, request: &Request, output: &Output) -> io::Result<Exit> {
    let section = section(args, &mut UnwrapErr(SysRng));
    let findings = match findings::of_section(&section, args, request) {
        Ok(looked) => looked,
        Err(report) => {
            super::show_report(&report, crate::config::Ending::Check, output)?;
            return Ok(Exit::BadConfig);
        }
    };
    let wrong = findings.iter().any(|finding| finding.state == State::Wrong);
    let written = if wrong { None } else { Some(write(args, &section, output)?) };
    if output.is_json() {
        output.json(&json!({
            "ok": !wrong,
            "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "section": written.is_some().then_some(&section),
        }))?;
    } else {
        let mut text: String = findings.iter().map(Finding::to_text).collect();
        if wrong {
            text.push_str("Nothing was written: mend what is wrong, then ask again.\n");
        }
        output.complain(&text)?;
    }
    Ok(if wrong { Exit::Failed } else { Exit::Ok })
}

/// Checks what a configuration says of its node.
pub(super) fn doctor(request: &Request, output: &Output) -> io::Result<Exit> {
    let settings = match loaded(request, output)? {
        Ok(loaded) => loaded.settings,
        Err(exit) => return Ok(exit),
    };
    let Some(node) = &settings.node else {
        output.failure("this configuration has no [node]", "`shoalway node setup` writes one")?;
        return Ok(Exit::Failed);
    };
    let mut all = findings::of_node(&Looked { node, proven: !node.lab });
    all.extend(findings::of_running(crate::operate::node_status(&settings.admin.socket).as_ref()));
    let wrong = all.iter().any(|finding| finding.state == State::Wrong);
    if output.is_json() {
        let findings: Vec<_> = all.iter().map(Finding::to_json).collect();
        output.json(&json!({ "ok": !wrong, "findings": findings }))?;
    } else {
        output.text(&all.iter().map(Finding::to_text).collect::<String>())?;
    }
    Ok(if wrong { Exit::Failed } else { Exit::Ok })
}

/// The section, with a path and a cookie that are its own from now on.
fn section(args: &SetupArgs, rng: &mut impl rand_core::CryptoRng) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let path = |path: &std::path::Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        quoted(&absolute.display().to_string())
    };
    let mut lines = vec![
        "[node]".to_owned(),
        format!("network = {}", path(&args.network)),
        format!("host = {}", quoted(&args.host)),
        format!("listen = {}", quoted(&args.listen.to_string())),
    ];
    lines.extend(args.public.map(|public| format!("public = {}", quoted(&public.to_string()))));
    lines.extend(args.cover_files.as_ref().map(|dir| format!("cover = {{ files = {} }}", path(dir))));
    lines.extend(args.cover_to.as_ref().map(|to| format!("cover = {{ to = {} }}", quoted(to))));
    lines.push(match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => format!("tls = {{ cert = {}, key = {} }}", path(cert), path(key)),
        (Some(_), None) | (None, Some(_)) | (None, None) => "acme = true".to_owned(),
    });
    lines.push(format!("path = \"/{}\"", name(PATHS, rng)));
    lines.push(format!("cookie = \"{}\"", name(COOKIES, rng)));
    let wallet = if args.wallet.contains('/') {
        path(std::path::Path::new(&args.wallet))
    } else {
        quoted(&args.wallet)
    };
    lines.push(format!("wallet = {wallet}"));
    lines.extend(args.directory.as_ref().map(|file| format!("directory = {}", path(file))));
    if let Some(roll) = &args.roll {
        let keys: Vec<String> = args.publish_key.iter().map(|key| path(key)).collect();
        lines.push(format!("publish = {{ keys = [{}], roll = {} }}", keys.join(", "), path(roll)));
    }
    lines.extend(args.ca.as_ref().map(|file| format!("ca = {}", path(file))));
    lines.extend(args.state.as_ref().map(|dir| format!("state = {}", path(dir))));
    lines.join("\n") + "\n"
}

/// Words that paths and cookies of ordinary sites are made of; a number makes them one's own.
const PATHS: &[&str] = &["live", "events", "stream", "socket", "updates", "notify", "channel", "sync"];
const COOKIES: &[&str] = &["sid", "session", "visit", "prefs", "ui", "cart", "lang", "seen"];

fn name(words: &[&str], rng: &mut impl rand_core::CryptoRng) -> String {
    let mut random = || usize::try_from(rng.next_u32()).unwrap_or_default();
    let word = words.get(random() % words.len().max(1)).copied().unwrap_or("live");
    let mut name = word.to_owned();
    // Writing to a text does not fail.
    let _written = write!(name, "{}", random() % 90 + 10);
    name
}

fn write(args: &SetupArgs, section: &str, output: &Output) -> io::Result<()> {
    if args.out.as_os_str() == "-" {
        return if output.is_json() { Ok(()) } else { output.text(section) };
    }
    let is_new = !args.out.exists();
    let mut file = OpenOptions::new().append(true).create(true).open(&args.out)?;
    let head = if is_new { "version = 1\n" } else { "" };
    file.write_all(format!("{head}\n{section}").as_bytes())?;
    file.sync_all()
}

/// Whether a network file is one of a lab; false for what is none.
fn is_lab(path: &std::path::Path) -> bool {
    let read = std::fs::read(path).ok().and_then(|bytes| Network::begin(&bytes).ok());
    read.is_some_and(|network| network.is_lab())
}
