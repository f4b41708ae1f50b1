//! `cargo xtask bench forward`: our proxy and real peers in turn, in one run, as ratios of CPU time.
//!
//! Here is the order of things only. Load and origin are the package `bench/`, the peers' configurations
//! stand in `bench/peers/`, and `docs/benchmarks.md` says what is measured and how to read it.
#![allow(clippy::disallowed_methods, reason = "a measuring tool: it looks itself whether a peer listens")]

mod calls;
mod case;
mod cores;
mod idle;
mod load;
mod machine;
mod options;
mod peer;
mod process_tree;
mod rounds;
mod site;
mod start;
mod table;

use anyhow::{Result, bail};

use case::Case;
use cores::Cores;
use load::Programs;
use options::Options;
use peer::Peer;

/// Everything a case needs to know about this run.
struct Bench {
    options: Options,
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
        Some((word, rest)) if word == "forward" => forward(Options::read(rest)?),
        Some((word, _)) => bail!("no such benchmark: {word}\n\n{}", options::USAGE),
        None => bail!("which benchmark?\n\n{}", options::USAGE),
    }
}

fn forward(options: Options) -> Result<()> {
    let cores = Cores::choose()?;
    machine::raise_descriptors();
    let programs = Programs::build(options.wants(Peer::Shoalway))?;
    let peers = installed(&options, &programs);
    machine::print_header(&cores, &peers);
    let bench = Bench { options, cores, programs, peers };
    if bench.options.calls {
        return calls::run(&bench);
    }
    for case in bench.options.cases() {
        match case {
            Case::Get | Case::Connect | Case::Socks5 | Case::Bulk | Case::BulkSmall => {
                rounds::run(&bench, case)?
            }
            Case::Idle => idle::run(&bench)?,
            Case::Start => start::run(&bench)?,
        }
    }
    Ok(())
}

/// The wanted peers that are there; what is missing is printed with the line that installs it.
fn installed(options: &Options, programs: &Programs) -> Vec<Peer> {
    let (there, missing): (Vec<_>, Vec<_>) =
        Peer::ALL.into_iter().filter(|peer| options.wants(*peer)).partition(|peer| {
            if *peer == Peer::Shoalway { programs.shoalway.is_some() } else { peer.is_installed() }
        });
    if missing.contains(&Peer::Shoalway) {
        eprintln!("shoalway: not built");
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
