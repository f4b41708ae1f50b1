//! Ours: an entry that publishes the directory, an exit and a client, each a process of its own, set up by the program's own
//! commands as an operator would: a network, a wallet for each node, invitations.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::super::certificate::{Certificate, HOST};
use super::super::load::OriginPorts;
use super::super::peer::Peer;
use super::super::site::{Site, free_port};
use super::Bench;
use super::fleet::Member;

/// How the client is configured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// What shares a circuit.
    pub(super) spread: &'static str,
    /// Whether a flow begins before its exit has said so.
    pub(super) optimistic: bool,
    /// Circuits kept ready.
    pub(super) stock: u32,
    /// Whether there are [`CROWD`] as well.
    pub(super) crowded: bool,
    /// Where others find the entry, when it is not where it listens.
    pub(super) by: Option<Detour>,
}

/// A port that leads to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detour {
    pub(super) from: u16,
    pub(super) to: u16,
}

impl Manner {
    /// One circuit for a host and a user; none is made that nobody asked for.
    pub(super) const USUAL: Self =
        Self { spread: "host", optimistic: false, stock: 0, crowded: false, by: None };
    /// A circuit for each flow, made when it comes.
    pub(super) const COLD: Self = Self { spread: "connection", ..Self::USUAL };
}

/// Further clients, their files, and files with the ports of their proxies.
pub(super) const CROWD: [(&str, &str, &str); 7] = [
    ("client2", "client2.toml", "client2.port"),
    ("client3", "client3.toml", "client3.port"),
    ("client4", "client4.toml", "client4.port"),
    ("client5", "client5.toml", "client5.port"),
    ("client6", "client6.toml", "client6.port"),
    ("client7", "client7.toml", "client7.port"),
    ("client8", "client8.toml", "client8.port"),
];

/// The directory of the network, with keys, invitations and configurations, and its programs.
///
/// # Errors
/// When a file cannot be written, or one of our commands fails; with what it said.
pub(super) fn prepare(bench: &Bench, manner: &Manner, origin: OriginPorts) -> Result<(Site, Vec<Member>)> {
    let site = site(&bench.certificate, manner, origin)?;
    let program = bench.run.programs.ours();
    found(&Operator { program: &program, dir: &site.dir })?;
    let program = program.display().to_string();
    // The exit is known a moment after the entry is; a client that asks before then asks again only after an hour.
    let member = |(name, after): (&'static str, u32)| {
        let config = site.dir.join(name).with_extension("toml").display().to_string();
        let command = vec![program.clone(), "run".to_owned(), "-c".to_owned(), config];
        Member { name, command, after }
    };
    let mut members: Vec<Member> = [("entry", 0), ("exit", 1), ("client", 5)].map(member).into();
    if manner.crowded {
        for (name, file, port) in CROWD {
            let own = free_port()?.to_string();
            fs::write(site.dir.join(port), &own)?;
            let words = [("CLIENT", name.to_owned()), ("PORT", own), ("ADMIN", free_port()?.to_string())];
            site.write(&[("overlay-client.conf", file)], &words)?;
            members.push(member((name, 0)));
        }
    }
    Ok((site, members))
}

/// The directory with the configurations alone.
fn site(certificate: &Certificate, manner: &Manner, origin: OriginPorts) -> Result<Site> {
    let listen = free_port()?;
    let by = manner.by.unwrap_or(Detour { from: listen, to: listen });
    let mut words = certificate.words().to_vec();
    words.extend([
        ("HOST", HOST.to_owned()),
        ("CLIENT", "client".to_owned()),
        ("ENTRY_PORT", by.to.to_string()),
        ("ENTRY_PUBLIC", by.from.to_string()),
        ("EXIT_PORT", free_port()?.to_string()),
        ("SPREAD", manner.spread.to_owned()),
        ("OPTIMISTIC", manner.optimistic.to_string()),
        ("STOCK", manner.stock.to_string()),
    ]);
    let templates = [
        ("overlay-entry.conf", "entry.toml"),
        ("overlay-exit.conf", "exit.toml"),
        ("overlay-client.conf", "client.toml"),
    ];
    let site = Site::prepare(Peer::Shoalway.name(), &templates, origin, &words)?;
    // Keys lie here, and nobody gives up root.
    fs::set_permissions(&site.dir, Permissions::from_mode(0o700))?;
    Ok(site)
}

/// Whoever sets the network up.
struct Operator<'a> {
    program: &'a Path,
    dir: &'a Path,
}

/// Makes the network, its nodes' keys and the invitations.
fn found(operator: &Operator<'_>) -> Result<()> {
    fs::create_dir_all(operator.dir.join("cover"))?;
    fs::write(operator.dir.join("cover/index.html"), "a page\n")?;
    operator.file("password", "a password for a run\n")?;
    operator.tells(&["network", "new", "bench", "--lab", "--out", "."])?;
    let mut roll = String::new();
    for (name, roles) in [("entry", "entry,directory"), ("exit", "exit")] {
        let password = ["--keys", "keys", "--password-file", "password"];
        operator.tells(&[&["key", "new", name, "--light"], &password[..]].concat())?;
        let signed = ["key", "rotate", name, "--network", "bench.network.toml", "--roles", roles];
        operator.tells(&[&signed[..], &password[..]].concat())?;
        roll.push_str(&operator.tells(&["key", "show", name, "--keys", "keys", "--address-only"])?);
    }
    operator.file("roll", &roll)?;
    let to_nodes = operator.tells(&["share", "-c", "entry.toml", "link", "--nodes"])?;
    operator.file("directory.invite", &to_nodes)?;
    let to_clients = operator.tells(&["share", "-c", "entry.toml", "link"])?;
    operator.file("client.invite", &to_clients)
}

impl Operator<'_> {
    /// Runs one of our commands; what it printed.
    fn tells(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.program);
        command.args(args).current_dir(self.dir).env("HOME", self.dir).stdin(Stdio::null());
        let output = command.output().context("shoalway")?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "shoalway {}: {}", args.join(" "), said());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes a file for its owner alone.
    fn file(&self, name: &str, text: &str) -> Result<()> {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(self.dir.join(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_template_stays_unfilled() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        let certificate = Certificate::make().expect("openssl");
        let site = site(&certificate, &Manner::COLD, origin).expect("templates are there");
        for name in ["entry.toml", "exit.toml", "client.toml"] {
            let text = fs::read_to_string(site.dir.join(name)).expect("written");
            assert!(!text.contains('@'), "{name}: {text}");
        }
    }
}
