//! Chains: what follows what, forks and their proof, claims of exits, and the state on disk.

use super::*;
use crate::codec::Malformed;
use crate::descriptor::tests::START;
use crate::network::tests::{after, directory_key, signed};
use crate::snapshot::tests::{contents, file, snapshot, testnet};
use crate::snapshot::{Contents, Draft, SnapshotHeader};

const HOUR: u64 = 3600;

/// Snapshots 1 to `count`, an hour apart; without nodes, which chains do not look at.
fn line(network: &Network, count: u64) -> Vec<Snapshot> {
    let mut line: Vec<Snapshot> = Vec::new();
    for hour in 0..count {
        line.push(next(network, line.last().map(|last| &last.header().header), START.plus(hour * HOUR)));
    }
    line
}

fn next(network: &Network, before: Option<&SnapshotHeader>, published: UnixTime) -> Snapshot {
    snapshot(network, before, published, Contents::default())
}

fn headers(line: &[Snapshot]) -> Vec<SignedHeader> {
    line.iter().map(|snapshot| snapshot.header().clone()).collect()
}

/// A chain that has accepted all of these.
fn knowing(network: &Network, line: &[Snapshot]) -> Chain {
    let mut chain = Chain::new(*network.id());
    for snapshot in line {
        assert_eq!(chain.accept(network, snapshot, &[], now()), Verdict::Accepted);
    }
    chain
}

const fn now() -> UnixTime {
    START.plus(200 * HOUR)
}

#[test]
fn the_first_is_accepted_and_others_by_the_headers_between() {
    let network = testnet();
    let line = line(&network, 6);
    let mut chain = Chain::new(*network.id());
    assert_eq!(chain.fetch_from(), 1);
    let mut accept =
        |index: usize, between: &[Snapshot]| chain.accept(&network, &line[index], &headers(between), now());
    assert_eq!(accept(1, &[]), Verdict::Accepted, "the first may have any number");
    assert_eq!(accept(1, &[]), Verdict::Same);
    assert_eq!(accept(2, &[]), Verdict::Accepted, "the next needs no header");
    assert_eq!(accept(5, &[]), Verdict::Refused(Refusal::Gap { missing: 4 }));
    assert_eq!(accept(5, &line[3..4]), Verdict::Refused(Refusal::Gap { missing: 5 }));
    assert_eq!(accept(5, &line[4..5]), Verdict::Refused(Refusal::Gap { missing: 4 }));
    assert_eq!(accept(5, &line[2..6]), Verdict::Accepted, "from the newest known on, its own among them");
    assert_eq!(accept(3, &[]), Verdict::Refused(Refusal::Older { known: 6, found: 4 }));
    assert_eq!(
        accept(0, &[]),
        Verdict::Refused(Refusal::Older { known: 6, found: 1 }),
        "from before we came"
    );
    assert_eq!(chain.newest().unwrap().header.number, 6);
    assert_eq!(chain.fetch_from(), 6);
}

#[test]
fn what_is_from_the_future_or_goes_back_is_refused() {
    let network = testnet();
    let line = line(&network, 2);
    let first = &line[0].header().header;
    let mut chain = knowing(&network, &line[..1]);
    let early = START.plus(HOUR).minus(601);
    assert_eq!(chain.accept(&network, &line[1], &[], early), Verdict::Refused(Refusal::Future));
    assert_eq!(chain.newest().unwrap().header.number, 1, "nothing has changed");
    let back = next(&network, Some(first), START);
    assert_eq!(chain.accept(&network, &back, &[], now()), Verdict::Refused(Refusal::Broken { number: 2 }));
    let mut stranger = first.clone();
    stranger.published = START.plus(1);
    let broken = next(&network, Some(&stranger), START.plus(HOUR));
    assert_eq!(chain.accept(&network, &broken, &[], now()), Verdict::Refused(Refusal::Broken { number: 2 }));
    assert_eq!(chain.accept(&network, &line[1], &[], early.plus(1)), Verdict::Accepted);
}

#[test]
fn two_headers_of_one_number_are_a_fork_for_ever() {
    let network = testnet();
    let line = line(&network, 4);
    let known = &line[1].header().header;
    let draft = Draft::new(&network, Some(known), START.plus(2 * HOUR + 1), Contents::default()).unwrap();
    let other = Snapshot::parse(&file(&draft, &network, &[2, 3]), &network, None).unwrap();
    let after_other = next(&network, Some(&other.header().header), START.plus(3 * HOUR));
    for (new, between, why) in [
        (&other, Vec::new(), "the newest itself"),
        (&after_other, headers(std::slice::from_ref(&other)), "a header on the way to a newer one"),
    ] {
        let mut chain = knowing(&network, &line[..3]);
        let verdict = chain.accept(&network, new, &between, now());
        let Verdict::Forked(fork) = verdict else { panic!("{why}: {verdict:?}") };
        assert_eq!(fork.number(), 3, "{why}");
        assert_eq!(fork.headers(), (line[2].header(), other.header()));
        assert_eq!(fork.signers_of_both(&network), [directory_key(2).public()]);
        assert_eq!(chain.fork(), Some(&*fork));
        let verdict = chain.accept(&network, &line[3], &[], now());
        assert_eq!(verdict, Verdict::Refused(Refusal::Forked), "nothing is taken any more");
        let kept = Chain::parse(&chain.encode(), &network).unwrap();
        assert_eq!(kept.fork(), Some(&*fork), "not even after a restart");
    }
    let mut chain = knowing(&network, &line[..3]);
    let verdict = chain.accept(&network, &after_other, &[], now());
    assert_eq!(verdict, Verdict::Refused(Refusal::Broken { number: 4 }), "no proof without the other header");
}

#[test]
fn an_older_fork_is_found_as_long_as_the_number_is_remembered() {
    let network = testnet();
    let line = line(&network, KEPT_HEADERS as u64 + 2);
    let mut chain = knowing(&network, &line);
    assert_eq!(chain.header(2), None);
    assert_eq!(chain.header(3), Some(line[2].header()));
    let forged = |number: usize| {
        let before = &line[number - 2].header().header;
        next(&network, Some(before), START.plus(number as u64 * HOUR).minus(7))
    };
    let verdict = chain.accept(&network, &forged(2), &[], now());
    assert_eq!(verdict, Verdict::Refused(Refusal::Older { known: 66, found: 2 }));
    assert!(matches!(chain.accept(&network, &forged(3), &[], now()), Verdict::Forked(_)));
}

#[test]
fn a_proof_of_a_fork_is_checked_by_whoever_is_shown_it() {
    let network = testnet();
    let line = line(&network, 2);
    let other = next(&network, Some(&line[0].header().header), START.plus(HOUR + 1));
    let fork = Fork::new(line[1].header().clone(), other.header().clone());
    let bytes = fork.encode();
    assert_eq!(Fork::parse(&bytes, &network), Ok(fork));
    for end in 0..bytes.len() {
        assert!(Fork::parse(&bytes[..end], &network).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        assert!(Fork::parse(&bent, &network).is_err(), "byte {at}");
    }
    let refused = |one: &Snapshot, two: &Snapshot| {
        let pair = Fork::new(one.header().clone(), two.header().clone());
        Fork::parse(&pair.encode(), &network) == Err(Malformed("fork"))
    };
    assert!(refused(&line[1], &line[1]), "one header twice");
    assert!(refused(&line[0], &line[1]), "two numbers");
}

#[test]
fn what_an_exit_claims_is_known_or_to_be_proven() {
    let network = testnet();
    let line = line(&network, 5);
    let hash = |index: usize| line[index].header().header.hash();
    let mut chain = knowing(&network, &line[1..3]);
    for (number, hash, wanted) in [
        (3, hash(2), Claim::Known),
        (2, hash(1), Claim::Known),
        (3, hash(1), Claim::Contradicts { from: 3 }),
        (2, [0; 32], Claim::Contradicts { from: 2 }),
        (1, [0; 32], Claim::Behind),
        (5, hash(4), Claim::Ahead { from: 3 }),
    ] {
        assert_eq!(chain.claim(number, &hash), wanted, "{number}");
    }
    assert_eq!(Chain::new(*network.id()).claim(5, &hash(4)), Claim::Ahead { from: 1 });
    let all = headers(&line);
    assert_eq!(chain.judge(&network, 5, &hash(4), &all[2..]), Proof::Follows);
    assert_eq!(chain.judge(&network, 4, &hash(3), &all[2..]), Proof::Follows, "more than was asked for");
    assert_eq!(chain.judge(&network, 5, &[0; 32], &all[2..]), Proof::NotClaimed);
    assert_eq!(chain.judge(&network, 5, &hash(4), &all[2..4]), Proof::NotClaimed);
    assert_eq!(chain.judge(&network, 3, &[0; 32], &all[2..]), Proof::NotClaimed, "the same as ours");
    assert_eq!(chain.judge(&network, 5, &hash(4), &[]), Proof::NotClaimed);
    assert_eq!(chain.judge(&network, 5, &hash(4), &all[4..]), Proof::Unproven(Refusal::Gap { missing: 4 }));
    assert_eq!(chain.newest().unwrap().header.number, 3, "judging accepts nothing");
    let other = next(&network, Some(&line[1].header().header), START.plus(2 * HOUR + 1));
    let claimed = other.header().header.hash();
    let proof = chain.judge(&network, 3, &claimed, &headers(&[other]));
    assert!(matches!(proof, Proof::Forked(_)));
    assert!(chain.fork().is_some());
}

#[test]
fn headers_without_enough_signatures_prove_nothing() {
    let network = testnet();
    let line = line(&network, 2);
    let draft =
        Draft::new(&network, Some(&line[0].header().header), START.plus(HOUR + 1), Contents::default())
            .unwrap();
    let weak = SignedHeader::parse(&file(&draft, &network, &[1])[..132 + 1 + 65]).unwrap();
    let mut chain = knowing(&network, &line);
    let claimed = weak.header.hash();
    let needed = SnapshotError::Quorum { found: 1, needed: 2 };
    assert_eq!(
        chain.judge(&network, 2, &claimed, &[weak]),
        Proof::Unproven(Refusal::Header(needed)),
        "one liar makes no fork"
    );
    assert!(chain.fork().is_none());
}

#[test]
fn snapshots_under_an_older_network_file_are_history_only() {
    let first = testnet();
    let line = line(&first, 2);
    let mut second = first.clone();
    let terms = after(first.newest(), &[1, 2, 3], 2);
    second.follow(signed(terms, &[1, 2, 3], None).as_bytes()).unwrap();
    let mut chain = knowing(&first, &line[..1]);
    assert_eq!(
        chain.accept(&second, &line[1], &[], now()),
        Verdict::Refused(Refusal::OldVersion { known: 2, found: 1 })
    );
    let newer = next(&second, Some(&line[1].header().header), START.plus(2 * HOUR));
    assert_eq!(chain.accept(&second, &newer, &headers(&line), now()), Verdict::Accepted);
}

#[test]
fn the_chain_survives_a_restart_whole_or_not_at_all() {
    let network = testnet();
    let chain = knowing(&network, &line(&network, 4));
    let bytes = chain.encode();
    assert_eq!(Chain::parse(&bytes, &network), Ok(chain));
    for end in 0..bytes.len() {
        assert!(Chain::parse(&bytes[..end], &network).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        assert!(Chain::parse(&bent, &network).is_err(), "byte {at}");
    }
    assert!(Chain::parse(&[&bytes[..], &[0]].concat(), &network).is_err());
    let empty = Chain::new(*network.id());
    assert_eq!(Chain::parse(&empty.encode(), &network), Ok(empty));
    let wide = knowing(&network, &[snapshot(&network, None, START, contents(&network, &[5]))]);
    assert_eq!(Chain::parse(&wide.encode(), &network), Ok(wide), "nodes do not matter here");
}
