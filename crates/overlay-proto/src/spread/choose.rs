//! The exit of a unit: weighted rendezvous hashing under a secret of the session.
//!
//! The exit with the least `-ln(u)/weight`, where `u` in (0, 1) comes from an HMAC over unit and exit. Each exit serves
//! a share of the units that is proportional to its weight, and when one goes only its own units move. Not here: how
//! long a choice holds ([`super::Pins`]).

use super::unit::UnitId;
use aws_lc_rs::hmac;
use shoalway_types::wallet::Address;

/// The session's secret: random for each start, never stored.
pub struct SpreadSecret(hmac::Key);

impl SpreadSecret {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

/// An exit with its weight, over 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted {
    /// The exit.
    pub exit: Address,
    /// Its share is this, over the sum of all.
    pub weight: f64,
}

/// The exit for a unit; none when there is none that may be taken.
#[must_use]
pub fn choose(
    secret: &SpreadSecret,
    unit: &UnitId,
    exits: &[Weighted],
    without: &[Address],
) -> Option<Address> {
    exits
        .iter()
        .filter(|candidate| candidate.weight > 0.0 && !without.contains(&candidate.exit))
        .map(|candidate| (score(secret, unit, candidate), candidate.exit))
        .min_by(|(left, a), (right, b)| left.total_cmp(right).then(a.cmp(b)))
        .map(|(_, exit)| exit)
}

fn score(secret: &SpreadSecret, unit: &UnitId, candidate: &Weighted) -> f64 {
    let mut context = hmac::Context::with_key(&secret.0);
    context.update(b"ovl1 spread\0");
    context.update(&unit.0);
    context.update(&candidate.exit.0);
    let tag = context.sign();
    let first = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    // The upper 53 bits, moved by half a step, are exact in a double and never 0 or 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let u = ((u64::from_be_bytes(first) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -u.ln() / candidate.weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(weights: &[f64]) -> Vec<Weighted> {
        (1u8..).zip(weights).map(|(n, weight)| Weighted { exit: Address([n; 20]), weight: *weight }).collect()
    }

    fn units(count: u32) -> impl Iterator<Item = UnitId> {
        (0..count).map(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            UnitId(id)
        })
    }

    #[test]
    fn shares_follow_the_weights() {
        let secret = SpreadSecret::new(&[7; 32]);
        let exits = exits(&[1.0, 2.0, 5.0]);
        let mut count = [0u32; 3];
        for unit in units(8_000) {
            let chosen = choose(&secret, &unit, &exits, &[]).unwrap();
            count[usize::from(chosen.0[0]) - 1] += 1;
        }
        for (count, share) in count.into_iter().zip([1_000u32, 2_000, 5_000]) {
            assert!(count.abs_diff(share) < 200, "{count} is not near {share}");
        }
    }

    #[test]
    fn when_an_exit_goes_only_its_units_move() {
        let secret = SpreadSecret::new(&[8; 32]);
        let exits = exits(&[1.0; 12]);
        let gone = Address([5; 20]);
        for unit in units(2_000) {
            let before = choose(&secret, &unit, &exits, &[]).unwrap();
            let after = choose(&secret, &unit, &exits, &[gone]).unwrap();
            assert!(before == after || before == gone);
            assert_ne!(after, gone);
        }
    }

    #[test]
    fn another_session_chooses_otherwise() {
        let exits = exits(&[1.0; 8]);
        let (one, other) = (SpreadSecret::new(&[1; 32]), SpreadSecret::new(&[2; 32]));
        let same = units(800)
            .filter(|unit| choose(&one, unit, &exits, &[]) == choose(&other, unit, &exits, &[]))
            .count();
        assert!(same.abs_diff(100) < 50, "{same} of 800 units kept their exit by chance");
    }

    #[test]
    fn without_an_exit_there_is_no_choice() {
        let secret = SpreadSecret::new(&[0; 32]);
        let [unit] = [UnitId([0; 32])];
        assert_eq!(choose(&secret, &unit, &[], &[]), None);
        assert_eq!(choose(&secret, &unit, &exits(&[1.0]), &[Address([1; 20])]), None);
        assert_eq!(choose(&secret, &unit, &exits(&[0.0]), &[]), None);
    }
}
