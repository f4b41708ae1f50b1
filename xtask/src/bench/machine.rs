//! Facts of the machine: programs, descriptors, names and versions for the head of the report.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::system::uname;

use super::cores::Cores;
use super::peer::Peer;

/// Where `name` is, in the path or where administrators' programs are.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Raises the limit of open files as far as the system lets; children inherit it.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.is_none_or(|most| most >= WISHED_DESCRIPTORS);
    let maximum = if enough { limit.maximum } else { Some(WISHED_DESCRIPTORS) };
    if setrlimit(Resource::Nofile, Rlimit { current: Some(WISHED_DESCRIPTORS), maximum }).is_err() {
        // Only some may raise the maximum; when this fails too, there are fewer idle tunnels.
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
    }
}

/// How many files a process may have open.
pub(super) fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(WISHED_DESCRIPTORS)
}

/// Enough for 10,000 tunnels of two sockets each, and more than the peers' own reserves.
const WISHED_DESCRIPTORS: u64 = 65_536;

/// Who runs this, for peers that must be told.
pub(super) fn user() -> String {
    if is_root() { "root".to_owned() } else { env::var("USER").unwrap_or_else(|_| "nobody".to_owned()) }
}

/// Whether this runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The workspace's directory.
pub(super) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Prints what was measured on, so that a copied table says where it is from.
pub(super) fn print_header(cores: &Cores, peers: &[Peer]) {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches(|at: char| at.is_whitespace() || at == ':')
        });
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "Machine: {model}, {count} cores, Linux {}; proxy on core {}, load and origin on core {}.",
        uname().release().to_string_lossy(),
        cores.proxy,
        cores.load
    );
    let versions: Vec<String> = peers.iter().filter_map(|peer| version(*peer)).collect();
    println!("Peers: {}.", versions.join(", "));
}

fn version(peer: Peer) -> Option<String> {
    let Some(package) = peer.packages().first() else {
        // Envoy says `version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`, shadowsocks-rust `shadowsocks 1.25.0`.
        let output = Command::new(peer.program_at(Path::new("shoalway"))).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = match text.split("version:").nth(1) {
            Some(said) => said.split('/').nth(1),
            None => text.split_whitespace().nth(1),
        };
        return version.map(|version| format!("{} {version}", peer.name()));
    };
    let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some(format!("{} {}", peer.name(), if version.is_empty() { "unknown" } else { &version }))
}
