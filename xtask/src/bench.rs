//! `cargo xtask bench forward`, `reverse` and `overlay`: our proxy and real peers in turn, in one run, as ratios of CPU time.
//!
//! Here is what all have in common at their start. Load and origin are the package `bench/`, the peers' configurations
//! stand in `bench/peers/`, and `docs/benchmarks.md` says what is measured and how to read it.
#![allow(clippy::disallowed_methods, reason = "a measuring tool: it looks itself whether a peer listens")]

mod certificate;
mod cores;
mod forward;
mod load;
mod machine;
mod options;
mod overlay;
mod peer;
mod process_tree;
mod reverse;
mod rounds;
mod site;
mod table;

use anyhow::{Result, bail};

use cores::Cores;
use load::Programs;
use options::{Choice, Options};
use peer::Peer;
use rounds::Pace;

/// Everything a case needs to know about this run.
struct Bench<C> {
    options: Options<C>,
    cores: Cores,
    programs: Programs,
    /// The peers that are installed and wanted.
    peers: Vec<Peer>,
}

/// Runs `cargo xtask bench ARGS`.
///
/// # Errors
/// When the arguments are not understood, or the load generator or origin do not work. A peer that is
/// missing or does not come up is said so and left out.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.split_first() {
        Some((word, rest)) if word == "forward" => forward::run(Options::read(rest)?),
        Some((word, rest)) if word == "reverse" => reverse::run(Options::read(rest)?),
        Some((word, rest)) if word == "overlay" => overlay::run(Options::read(rest)?),
        Some((word, _)) => bail!("no such benchmark: {word}\n\n{}", options::USAGE),
        None => bail!("which benchmark?\n\n{}", options::USAGE),
    }
}

impl<C: Choice> Bench<C> {
    /// Chooses cores, builds what is to be built, looks who is there, and prints the report's head.
    ///
    /// # Errors
    /// When there is one core only, or load and origin are not to be had.
    fn prepare(options: Options<C>) -> Result<Self> {
        let cores = Cores::choose()?;
        machine::raise_descriptors();
        let programs = Programs::find(options.build, options.wants(Peer::Shoalway))?;
        let peers = installed(&options, &programs);
        machine::print_header(&cores, &peers);
        Ok(Self { options, cores, programs, peers })
    }

    /// How many rounds, and how long.
    const fn pace(&self) -> Pace {
        Pace { rounds: self.options.rounds, quick: self.options.quick }
    }
}

/// The wanted peers that are there; what is missing is printed with the line that installs it.
fn installed<C: Choice>(options: &Options<C>, programs: &Programs) -> Vec<Peer> {
    let wanted = C::PEERS.iter().copied().filter(|peer| options.wants(*peer));
    let (there, missing): (Vec<_>, Vec<_>) = wanted.partition(|peer| {
        if *peer == Peer::Shoalway { programs.shoalway.is_some() } else { peer.is_installed() }
    });
    if missing.contains(&Peer::Shoalway) {
        println!("shoalway: not built.");
    }
    if missing.contains(&Peer::Envoy) {
        eprintln!("envoy is not installed, left out; to have it under target/: {}", peer::ENVOY_INSTALL);
    }
    if missing.contains(&Peer::ShadowsocksRust) {
        eprintln!(
            "shadowsocks-rust is not installed, left out; to have it under target/: {}",
            peer::SHADOWSOCKS_INSTALL
        );
    }
    let packages: Vec<_> = missing.iter().flat_map(|peer| peer.packages()).copied().collect();
    if !packages.is_empty() {
        eprintln!(
            "not installed, left out: apt-get install --yes --no-install-recommends {}",
            packages.join(" ")
        );
    }
    there
}
