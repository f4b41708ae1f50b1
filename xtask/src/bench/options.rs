//! The command line of `cargo xtask bench forward`, `reverse` and `overlay`.

use anyhow::{Context, Result, bail, ensure};

use super::load::Build;
use super::peer::Peer;

pub(super) const USAGE: &str = "\
cargo xtask bench forward|reverse|overlay [OPTION...]

  --rounds N     measured rounds of each peer, interleaved (default 3)
  --only CASE    several with commas
                 forward: get, connect, socks5, bulk, bulk-1m, idle or start
                 reverse: h1-100, h1-10k, body-1m, body-100m, h2, h2-bulk, tls-handshake, tls-bulk, l4-bulk,
                          l4-connect, idle, latency or reload
                 overlay: bulk, parts, streams, circuit, round-trip, first-byte or memory
  --peer NAME    several with commas
                 forward: shoalway, squid, trafficserver, tinyproxy, haproxy, nginx, danted or microsocks
                 reverse: shoalway, haproxy, nginx, envoy or caddy
                 overlay: shoalway, shadowsocks-rust, shadowsocks-libev or tor
  --quick        a quarter of the work, fewer tunnels: to see that everything runs, not to quote
  --no-build     measures the binaries that are in target/release, whatever the sources say
  --calls        forward only: system calls per unit of work instead of CPU time (perf)";

/// The cases of one benchmark, and who may take part in it.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const ALL: &'static [Self];
    const PEERS: &'static [Peer];
    /// The word on the command line.
    fn name(self) -> &'static str;
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Options<C> {
    /// Measured rounds.
    pub(super) rounds: usize,
    only: Vec<C>,
    peers: Vec<Peer>,
    /// Less work, for trying out.
    pub(super) quick: bool,
    /// Whether the programs are built first.
    pub(super) build: Build,
    /// Count system calls instead.
    pub(super) calls: bool,
}

impl<C: Choice> Options<C> {
    pub(super) fn read(args: &[String]) -> Result<Self> {
        let mut options = Self {
            rounds: 3,
            only: Vec::new(),
            peers: Vec::new(),
            quick: false,
            build: Build::First,
            calls: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n\n{USAGE}"));
            match arg.as_str() {
                "--rounds" => options.rounds = value()?.parse().context("--rounds wants a number")?,
                "--only" => options.only.extend(named(value()?, C::ALL, C::name)?),
                "--peer" => options.peers.extend(named(value()?, C::PEERS, Peer::name)?),
                "--quick" => options.quick = true,
                "--no-build" => options.build = Build::AsIs,
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
    pub(super) fn cases(&self) -> Vec<C> {
        let wanted = |case: &C| self.only.is_empty() || self.only.contains(case);
        C::ALL.iter().copied().filter(wanted).collect()
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
    use super::super::{forward, overlay, reverse};
    use super::*;

    fn read<C: Choice>(line: &str) -> Result<Options<C>> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn nothing_said_means_all<C: Choice>() {
        let options = read::<C>("").expect("defaults");
        assert_eq!((options.rounds, options.cases().len()), (3, C::ALL.len()));
        assert!(C::PEERS.iter().all(|peer| options.wants(*peer)));
        let words = C::ALL.iter().map(|case| case.name()).chain(C::PEERS.iter().map(|peer| peer.name()));
        assert!(words.into_iter().all(|word| USAGE.contains(word)), "the usage names everything");
    }

    #[test]
    fn nothing_said_means_all_cases_all_peers_three_rounds() {
        nothing_said_means_all::<forward::Case>();
        nothing_said_means_all::<reverse::Case>();
        nothing_said_means_all::<overlay::Case>();
    }

    #[test]
    fn names_with_commas_choose() {
        let line = "--only get,idle --peer squid --rounds 5 --quick --no-build";
        let options = read::<forward::Case>(line).expect("valid");
        assert_eq!(options.cases(), [forward::Case::Get, forward::Case::Idle]);
        assert!(options.wants(Peer::Squid) && !options.wants(Peer::Shoalway) && options.quick);
        assert_eq!(options.build, Build::AsIs);
    }

    #[test]
    fn mistakes_name_what_is_possible() {
        for (line, part) in [
            ("--only gt", "h1-100, h1-10k"),
            ("--peer squid", "haproxy"),
            ("--rounds 0", "1 to 99"),
            ("--fast", "--quick"),
        ] {
            let error = format!("{:#}", read::<reverse::Case>(line).expect_err("a mistake"));
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
