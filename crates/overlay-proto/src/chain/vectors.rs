//! The published vectors of snapshots, chains of them, and forks (ovl1 section 15).

use super::{Chain, Proof, Refusal, Verdict};
use crate::identity::vectors::{HOUR, NOW, word};
use crate::moment::UnixTime;
use crate::network::Network;
use crate::network::vectors::{first, follow, second};
use crate::snapshot::vectors::{files, network, signed};
use crate::snapshot::{Contents, Draft, SignedHeader, Snapshot, SnapshotHeader};
use crate::vectors::{assert_published, hex};
use serde_json::{Value, json};

/// A snapshot without nodes, which chains do not look at.
fn next(network: &Network, before: Option<&Snapshot>, published: UnixTime, by: &[&str]) -> Snapshot {
    let before = before.map(|before| &before.header().header);
    let draft = Draft::new(network, before, published, Contents::default()).unwrap();
    Snapshot::parse(&signed(&draft, network, by), network, None).unwrap()
}

fn hexed<'a>(headers: impl IntoIterator<Item = &'a SignedHeader>) -> Value {
    headers.into_iter().map(|header| hex(header.encode())).collect()
}

fn refusal(why: &Refusal) -> String {
    format!("refused {}", word(&format!("{why:?}")))
}

/// A chain that has accepted `known`, shown a snapshot and headers.
fn accepts(
    name: &str,
    networks: &[String],
    known: &[&Snapshot],
    shown: &Snapshot,
    headers: &[SignedHeader],
    now: UnixTime,
) -> Value {
    let network = follow(networks).unwrap();
    let mut chain = chain(&network, known);
    let verdict = chain.accept(&network, shown, headers, now);
    let outcome = match &verdict {
        Verdict::Refused(why) => refusal(why),
        Verdict::Accepted | Verdict::Same | Verdict::Forked(_) => word(&format!("{verdict:?}")),
    };
    let mut case = json!({
        "check": "chain", "name": name, "network_files": networks,
        "known": hexed(known.iter().map(|known| known.header())), "next": hex(shown.header().encode()),
        "headers": hexed(headers), "now": now.0, "outcome": outcome, "state": hex(chain.encode()),
    });
    if let Verdict::Forked(fork) = verdict {
        case["fork"] = hex(fork.encode()).into();
        case["signers_of_both"] = fork.signers_of_both(&network).iter().map(hex).collect();
    }
    case
}

/// The same chain, judging what an exit claims to have.
fn judges(name: &str, known: &[&Snapshot], claim: (u64, [u8; 32]), headers: &[SignedHeader]) -> Value {
    let network = network();
    let mut chain = chain(&network, known);
    let compared = word(&format!("{:?}", chain.claim(claim.0, &claim.1)));
    let proof = chain.judge(&network, claim.0, &claim.1, headers);
    let outcome = match &proof {
        Proof::Unproven(why) => refusal(why),
        Proof::Follows | Proof::Forked(_) | Proof::NotClaimed => word(&format!("{proof:?}")),
    };
    json!({
        "check": "claim", "name": name, "network_files": [first()],
        "known": hexed(known.iter().map(|known| known.header())), "number": claim.0, "hash": hex(claim.1),
        "headers": hexed(headers), "compared": compared, "outcome": outcome,
    })
}

fn chain(network: &Network, known: &[&Snapshot]) -> Chain {
    // What was accepted under an older network file was accepted before the newer one was known.
    let then = follow(&[first()]).unwrap();
    let mut chain = Chain::new(*network.id());
    for snapshot in known {
        assert_eq!(chain.accept(&then, snapshot, &[], NOW.plus(99 * HOUR)), Verdict::Accepted);
    }
    chain
}

fn of(snapshots: &[&Snapshot]) -> Vec<SignedHeader> {
    snapshots.iter().map(|snapshot| snapshot.header().clone()).collect()
}

#[test]
fn the_vectors_of_snapshots_chains_and_forks_are_published() {
    let network = network();
    let at = |hour: u64| NOW.plus(hour * HOUR);
    let one = next(&network, None, NOW, &["a", "b"]);
    let two = next(&network, Some(&one), at(1), &["a", "c"]);
    let three = next(&network, Some(&two), at(2), &["b", "c"]);
    let four = next(&network, Some(&three), at(3), &["a", "b", "c"]);
    let other = next(&network, Some(&two), at(2).plus(1), &["a", "b"]);
    let after_other = next(&network, Some(&other), at(3), &["a", "b"]);
    let backwards = next(&network, Some(&two), at(1), &["a", "b"]);
    let files_two = [first(), second(&["a", "c", "d"], |_| ())];
    let newer = next(&follow(&files_two).unwrap(), Some(&three), at(3), &["c", "e"]);
    let weak = signed(
        &Draft::new(&network, Some(&two.header().header), at(2).plus(1), Contents::default()).unwrap(),
        &network,
        &["b"],
    );
    let weak = SignedHeader::parse(&weak[..132 + 1 + 65]).unwrap();
    let ones = [first()];
    let accept = |name, known: &[&Snapshot], shown, headers: &[&Snapshot], now| {
        accepts(name, &ones, known, shown, &of(headers), now)
    };
    let hash = |snapshot: &Snapshot| snapshot.header().header.hash();
    let mut cases = files();
    cases.extend([
        accept("the first may have any number", &[], &three, &[], at(9)),
        accept("the next one", &[&one, &two], &three, &[], at(9)),
        accept("the headers between lead to it", &[&one, &two], &four, &[&two, &three], at(9)),
        accept("its own header may be among them", &[&two], &four, &[&two, &three, &four], at(9)),
        accept("the newest again", &[&one, &two], &two, &[], at(9)),
        accept("an older one", &[&one, &two], &one, &[], at(9)),
        accept("a header is missing", &[&one, &two], &four, &[], at(9)),
        accept("10 minutes early", &[&one], &two, &[], at(1).minus(600)),
        accept("from the future", &[&one], &two, &[], at(1).minus(601)),
        accept("not later than the one before", &[&one, &two], &backwards, &[], at(9)),
        accept("a broken chain", &[&one, &two, &three], &after_other, &[], at(9)),
        accept("a fork: two of one number", &[&one, &two, &three], &other, &[], at(9)),
        accept("a fork on the way", &[&one, &two, &three], &after_other, &[&other], at(9)),
        accept("a fork of an older number", &[&one, &two, &three, &four], &other, &[], at(9)),
        accepts("signed under version 2", &files_two, &[&two, &three], &newer, &[], at(9)),
        accepts("signed under version 1 when 2 is known", &files_two, &[&two], &three, &[], at(9)),
        accepts(
            "one signature makes no fork",
            &ones,
            &[&one, &two, &three],
            &four,
            std::slice::from_ref(&weak),
            at(9),
        ),
        judges("what we have", &[&one, &two], (2, hash(&two)), &of(&[&two])),
        judges("an older one that we know", &[&one, &two], (1, hash(&one)), &of(&[&one])),
        judges("an older one that we do not know", &[&two], (1, hash(&one)), &of(&[&one])),
        judges("a newer one", &[&two], (4, hash(&four)), &of(&[&two, &three, &four])),
        judges("a newer one, and more", &[&two], (3, hash(&three)), &of(&[&two, &three, &four])),
        judges("a newer one that it does not show", &[&two], (4, hash(&four)), &of(&[&two, &three])),
        judges("another hash than it shows", &[&two], (3, [7; 32]), &of(&[&two, &three])),
        judges("a header missing", &[&two], (4, hash(&four)), &of(&[&four])),
        judges("another one of our number", &[&two, &three], (3, hash(&other)), &of(&[&other])),
        judges("another one that too few signed", &[&two, &three], (3, weak.header.hash()), &[weak]),
        judges("nothing shown", &[&two, &three], (3, [7; 32]), &[]),
    ]);
    assert_published(
        "snapshot",
        "ovl1 section 3.2: snapshots; which is accepted after which; forks; what an exit's number and hash prove",
        cases,
    );
    let header: &SnapshotHeader = &one.header().header;
    assert_eq!((header.number, header.prev), (1, [0; 32]));
}
