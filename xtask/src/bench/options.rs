//! The command line of `cargo xtask bench forward`.

use anyhow::{Context, Result, bail, ensure};

use super::case::Case;
use super::peer::Peer;

pub(super) const USAGE: &str = "\
cargo xtask bench forward [OPTION...]

  --rounds N     measured rounds of each peer, interleaved (default 3)
  --only CASE    get, connect, socks5, bulk, bulk-1m, idle or start; several with commas
  --peer NAME    shoalway, squid, trafficserver, tinyproxy, haproxy, nginx, danted or microsocks; several with commas
  --quick        a quarter of the work, fewer tunnels: to see that everything runs, not to quote
  --calls        system calls per unit of work instead of CPU time (perf)";

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Options {
    /// Measured rounds.
    pub(super) rounds: usize,
    only: Vec<Case>,
    peers: Vec<Peer>,
    /// Less work, for trying out.
    pub(super) quick: bool,
    /// Count system calls instead.
    pub(super) calls: bool,
}

impl Options {
    pub(super) fn read(args: &[String]) -> Result<Self> {
        let mut options = Self { rounds: 3, only: Vec::new(), peers: Vec::new(), quick: false, calls: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n\n{USAGE}"));
            match arg.as_str() {
                "--rounds" => options.rounds = value()?.parse().context("--rounds wants a number")?,
                "--only" => options.only.extend(named(value()?, &Case::ALL, Case::name)?),
                "--peer" => options.peers.extend(named(value()?, &Peer::ALL, Peer::name)?),
                "--quick" => options.quick = true,
                "--calls" => options.calls = true,
                other => bail!("no such option: {other}\n\n{USAGE}"),
            }
        }
        ensure!((1..=99).contains(&options.rounds), "--rounds wants 1 to 99");
        Ok(options)
    }

    /// Whether `peer` takes part.
    pub(super) fn wants(&self, peer: Peer) -> bool {
        self.peers.is_empty() || self.peers.contains(&peer)
    }

    /// The cases to run, in their own order.
    pub(super) fn cases(&self) -> Vec<Case> {
        Case::ALL.into_iter().filter(|case| self.only.is_empty() || self.only.contains(case)).collect()
    }

    /// The peers named on the command line.
    pub(super) fn named_peers(&self) -> &[Peer] {
        &self.peers
    }
}

fn named<T: Copy>(list: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
    list.split(',')
        .map(|word| {
            let known = || all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
            let found = all.iter().copied().find(|one| name(*one) == word);
            found.with_context(|| format!("`{word}` is none of {}", known()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_said_means_all_cases_all_peers_three_rounds() {
        let options = read("").expect("defaults");
        assert_eq!((options.rounds, options.cases().len()), (3, Case::ALL.len()));
        assert!(Peer::ALL.into_iter().all(|peer| options.wants(peer)));
    }

    #[test]
    fn names_with_commas_choose() {
        let options = read("--only get,idle --peer squid --rounds 5 --quick").expect("valid");
        assert_eq!(options.cases(), [Case::Get, Case::Idle]);
        assert!(options.wants(Peer::Squid) && !options.wants(Peer::Shoalway) && options.quick);
    }

    #[test]
    fn mistakes_name_what_is_possible() {
        for (line, part) in [
            ("--only gt", "get, connect"),
            ("--peer x", "squid"),
            ("--rounds 0", "1 to 99"),
            ("--fast", "--quick"),
        ] {
            let error = format!("{:#}", read(line).expect_err("a mistake"));
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
