//! What the tests of this crate share: small upstreams and moments.

use crate::balance::{Algorithm, BalanceConfig, Exclude, PickKey};
use crate::dice::Dice;
use crate::moment::Moment;
use crate::outlier::OutlierConfig;
use crate::upstream::{EndpointSpec, FailureKind, Outcome, Registry, Scheme, Upstream, UpstreamConfig};
use tokio::time::Instant;

/// Milliseconds after a beginning that has a past.
pub(crate) fn at(ms: u64) -> Moment {
    Moment::from_micros((1_000_000 + ms) * 1_000)
}

/// The `n`th endpoint.
pub(crate) fn spec(n: usize) -> EndpointSpec {
    EndpointSpec::parse(&format!("10.0.{}.{}:80", n / 256, n % 256), Scheme::Http).unwrap()
}

pub(crate) fn specs(weights: &[u32]) -> Vec<EndpointSpec> {
    weights.iter().enumerate().map(|(n, weight)| EndpointSpec { weight: *weight, ..spec(n) }).collect()
}

pub(crate) fn balance(algorithm: Algorithm) -> BalanceConfig {
    BalanceConfig { algorithm, ..BalanceConfig::default() }
}

/// An upstream without ejections.
pub(crate) fn upstream(endpoints: Vec<EndpointSpec>, balance: BalanceConfig) -> Upstream {
    upstream_with(endpoints, balance, OutlierConfig::OFF)
}

pub(crate) fn upstream_with(
    endpoints: Vec<EndpointSpec>,
    balance: BalanceConfig,
    outlier: OutlierConfig,
) -> Upstream {
    let config = UpstreamConfig { balance, outlier, ..UpstreamConfig::new("app", endpoints) };
    Upstream::new(&Registry::new(Instant::now()), config, at(0))
}

/// Which of [`specs`] it is.
pub(crate) fn number(upstream: &Upstream, id: u64) -> usize {
    let set = upstream.set();
    let endpoint = set.endpoints().iter().find(|endpoint| endpoint.state().id() == id).unwrap();
    let crate::upstream::Address::Net(target) = &endpoint.key().address else { panic!("a socket") };
    let Some(std::net::IpAddr::V4(ip)) = target.host.ip() else { panic!("an address") };
    usize::from(ip.octets()[2]) * 256 + usize::from(ip.octets()[3])
}

/// How often each of `count` endpoints is picked by `picks` requests that end at once.
pub(crate) fn counts(upstream: &Upstream, count: usize, picks: usize, now: Moment) -> Vec<usize> {
    let dice = Dice::new(42);
    let mut counts = vec![0; count];
    for _ in 0..picks {
        if let Some(picked) = upstream.pick(&PickKey::by_chance(&dice), &Exclude::nobody(), now) {
            counts[number(upstream, picked.endpoint().state().id())] += 1;
            picked.finish(Outcome::Neutral, now);
        }
    }
    counts
}

/// Lets the `n`th endpoint fail so often.
pub(crate) fn fail(upstream: &Upstream, n: usize, times: usize, now: Moment) {
    let all = upstream.set();
    for _ in 0..times {
        let mut exclude = Exclude::nobody();
        let dice = Dice::new(7);
        let picked = (0..all.endpoints().len())
            .find_map(|_| {
                let picked = upstream.pick(&PickKey::by_chance(&dice), &exclude, now)?;
                exclude.add(&picked);
                (number(upstream, picked.endpoint().state().id()) == n).then_some(picked)
            })
            .unwrap();
        picked.finish(Outcome::Failure(FailureKind::Broken), now);
    }
}
