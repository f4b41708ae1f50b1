//! `key rotate`: a new node key, signed in by the wallet, in the place of the one before.
//!
//! The new delegation has a higher serial, so that every reader refuses the one before. Its serial is at least the
//! time, so that a wallet restored elsewhere, which knows no earlier serial, is still ahead of itself.

use super::error::KeyError;
use super::place::Place;
use super::{RotateArgs, chance, files, input, proof, record};
use crate::cli::Output;
use crate::config::Request;
use rand_core::Rng as _;
use serde_json::json;
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationTerms, Roles};
use shoalway_overlay_proto::network::Network;
use shoalway_types::wallet::Address;
use shoalway_wallet::from_hex;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

const DAY: u64 = 24 * 60 * 60;

/// Makes the node key and the delegation, and puts both in place.
pub(super) fn rotate(args: &RotateArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let place = args.wallet.place(request)?;
    let network = network(&args.network)?;
    let before = record::delegation(&place)?;
    let keystore = record::keystore(&place)?;
    let now = proof::now()?;
    let serial = next_serial(before.as_ref(), now)?;
    let roles = if args.withdraw { Roles::NONE } else { roles(&args.roles, before.as_ref())? };
    let key = record::open(&keystore, &place, &input::password(&args.password)?)?;
    let (seed, terms) = if args.withdraw {
        (None, DelegationTerms::withdrawal(key.address(), serial))
    } else {
        let mut seed = Zeroizing::new([0; 32]);
        chance().fill_bytes(&mut *seed);
        let terms = terms(key.address(), &seed, roles, (now, args.days), serial);
        (Some(seed), terms)
    };
    let signed = key.delegate(&network, terms).map_err(|error| KeyError::Terms(error.to_string()))?;
    put(&place, seed.as_deref(), &signed)?;
    say(&place, &signed, output)
}

/// The name of a network, from its digits or from its first file, which is no secret.
fn network(given: &str) -> Result<[u8; 32], KeyError> {
    if let Ok(id) = from_hex(given) {
        return Ok(*id);
    }
    let path = Path::new(given);
    let text = File::open(path).and_then(files::read_text).map_err(KeyError::file("read", path))?;
    let wrong = |error| KeyError::Terms(format!("{given}: {error}"));
    Network::begin(text.as_bytes()).map(|network| *network.id()).map_err(wrong)
}

fn terms(
    node: Address,
    seed: &[u8; 32],
    roles: Roles,
    (now, days): (u64, u64),
    serial: u64,
) -> DelegationTerms {
    DelegationTerms {
        node,
        node_key: SecretKey::from_seed(seed).public(),
        roles,
        not_before: UnixTime(now),
        not_after: UnixTime(now.saturating_add(days.saturating_mul(DAY))),
        serial,
    }
}

fn next_serial(before: Option<&Delegation>, now: u64) -> Result<u64, KeyError> {
    let least = before.map_or(Some(1), |before| before.terms.serial.checked_add(1));
    least.map(|least| least.max(now)).ok_or_else(|| KeyError::Terms("there is no higher serial".to_owned()))
}

/// What was asked for, else what the node may do now.
fn roles(asked: &[String], before: Option<&Delegation>) -> Result<Roles, KeyError> {
    let unknown =
        |name: &String| KeyError::Terms(format!("`{name}` is no role: entry, middle, exit, directory"));
    let mut roles = Roles::NONE;
    for name in asked {
        roles = roles | Roles::named(name).ok_or_else(|| unknown(name))?;
    }
    match before.map(|before| before.terms.roles) {
        _ if !roles.is_empty() => Ok(roles),
        Some(before) if !before.is_empty() => Ok(before),
        Some(_) | None => Err(KeyError::Terms("say what the node may do: --roles entry,exit".to_owned())),
    }
}

/// The key first: a node that starts between the two finds a pair that does not fit and says so, but a delegation to a
/// key that is nowhere would be worth nothing.
fn put(place: &Place, seed: Option<&[u8; 32]>, signed: &Delegation) -> Result<(), KeyError> {
    let node_key = place.node_key();
    match seed {
        Some(seed) => files::replace(&node_key, &record::line(seed))?,
        None => match fs::remove_file(&node_key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(KeyError::file("remove", &node_key)(error));
            }
            Ok(()) | Err(_) => {}
        },
    }
    files::replace(&place.delegation(), &record::line(&signed.encode()))
}

fn say(place: &Place, Delegation { terms, .. }: &Delegation, output: &Output) -> Result<(), KeyError> {
    let files = (place.delegation(), place.node_key());
    let answer = if output.is_json() {
        output.json(&json!({
            "ok": true,
            "name": place.name(),
            "address": terms.node.to_string(),
            "serial": terms.serial,
            "roles": terms.roles.names().collect::<Vec<_>>(),
            "not_before": terms.not_before.0,
            "not_after": terms.not_after.0,
            "withdrawn": terms.is_withdrawal(),
            "delegation": files.0,
            "node_key": (!terms.is_withdrawal()).then_some(files.1),
        }))
    } else if terms.is_withdrawal() {
        output.text(&format!(
            "{} is withdrawn with serial {}, once the directory has {}\n",
            terms.node,
            terms.serial,
            files.0.display()
        ))
    } else {
        output.text(&format!(
            "{} may be {} with serial {}\nThe node needs these two files: {} {}\n",
            terms.node,
            terms.roles,
            terms.serial,
            files.0.display(),
            files.1.display()
        ))
    };
    answer.map_err(KeyError::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delegation(serial: u64, roles: Roles) -> Delegation {
        let terms = terms(Address([1; 20]), &[2; 32], roles, (1_800_000_000, 30), serial);
        Delegation { terms, signature: [0; 65] }
    }

    #[test]
    fn a_serial_is_higher_than_the_one_before_and_not_below_the_time() {
        for (before, now, wanted) in [
            (None, 5, Some(5)),
            (Some(4), 5, Some(5)),
            (Some(5), 5, Some(6)),
            (Some(9), 5, Some(10)),
            (Some(u64::MAX), 5, None),
        ] {
            let before = before.map(|serial| delegation(serial, Roles::EXIT));
            assert_eq!(next_serial(before.as_ref(), now).ok(), wanted);
        }
    }

    #[test]
    fn roles_stay_unless_others_are_asked_for() {
        let (exit, none) = (delegation(1, Roles::EXIT), delegation(1, Roles::NONE));
        let asked = |names: &[&str], before: Option<&Delegation>| {
            roles(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), before).ok()
        };
        assert_eq!(asked(&["entry", "middle"], Some(&exit)), Some(Roles::ENTRY | Roles::MIDDLE));
        assert_eq!(asked(&[], Some(&exit)), Some(Roles::EXIT));
        assert_eq!(asked(&[], Some(&none)), None);
        assert_eq!(asked(&[], None), None);
        assert_eq!(asked(&["exit", "boss"], Some(&exit)), None);
    }
}
