//! What somebody has who recorded everything and holds every long-lived key afterwards; and what two exits have who compare all
//! the bytes they saw.

use super::super::client::PendingCircuit;
use super::super::*;
use crate::circuit::CircuitEnd;
use crate::circuit::terms::{Destination, End};
use crate::kdf::exporter::{Aead, Kdf};
use crate::record::{Last, Opener, Sealer};
use crate::vectors::{Stated, named};
use crate::xwing::XWingSecret;
use crate::{Moment, UnixTime};
use bytes::BytesMut;
use hpke::{Deserializable, Kem, OpModeR, setup_receiver};
use shoalway_types::Target;
use std::collections::HashSet;

const NOW: UnixTime = UnixTime(1_800_000_000);
const START: Moment = Moment(0);
const OFFER: Offer<'_> = Offer { suites: Suites::BOTH, token: b"" };

fn nobody() -> Stated {
    Stated::new([])
}

/// A node of the network: its address, its key, and what it opens CREATEs with.
struct Hop {
    public: HopKey,
    seed: [u8; 32],
    keys: KemKeys,
}

impl Hop {
    fn new(word: &str) -> Self {
        let mut node = Address([0; 20]);
        node.0.copy_from_slice(&named(word)[..20]);
        let seed = named(word);
        let key = CreateKey::new(&seed.into(), NOW, &mut Stated::new(0..16)).unwrap();
        let public = HopKey { node, id: key.id(), kem: key.secret().public().clone() };
        let mut keys = KemKeys::default();
        keys.insert(key);
        Self { public, seed, keys }
    }

    fn open(&mut self, body: &[u8]) -> Opened {
        self.keys.open(&named("network"), self.public.node, body, NOW).unwrap()
    }
}

/// What passed over the links, to and from the exit, and the client's and exit's keys.
struct Recorded {
    create: Vec<u8>,
    to_exit: Vec<u8>,
    created: Vec<u8>,
    client: ReadyCircuit,
    exit: ExitCircuit,
}

const TERMS: CreatedTerms = CreatedTerms {
    suite: Suite::Aes256Gcm,
    circuit: CircuitTerms {
        max_streams: 256,
        stream_window: 256 * 1024,
        circuit_window: 1024 * 1024,
        idle: Duration::from_secs(780),
        life: Duration::from_secs(2700),
    },
    directory: (41, [0x41; 32]),
};

fn record(entry: &mut Hop, exit: &mut Hop) -> Recorded {
    let hops = [entry.public.clone(), exit.public.clone()];
    let (create, pending): (Vec<u8>, PendingCircuit) =
        build(&named("network"), &hops, &OFFER, &mut nobody()).unwrap();
    let Opened::Relay(relay) = entry.open(&create) else { panic!("an entry relays") };
    let to_exit = relay.inner;
    let Opened::Exit(request) = exit.open(&to_exit) else { panic!("an exit ends") };
    let (created, keys) = request.answer(&TERMS, &mut nobody()).unwrap();
    let client = pending.created(&created).unwrap();
    Recorded { create, to_exit, created, client, exit: keys }
}

#[test]
fn recorded_circuits_do_not_open_with_all_static_keys_dumped_afterwards() {
    let (mut entry, mut exit) = (Hop::new("entry"), Hop::new("exit"));
    let recorded = record(&mut entry, &mut exit);
    let mut seal = Sealer::new(&recorded.client.tx, START);
    let mut secret = BytesMut::from(&b"where to, and what was said"[..]);
    seal.seal(&mut secret, 0, Last::Frame, START).unwrap();
    let mut known = BytesMut::new();
    Opener::new(&recorded.exit.rx, START).open(&secret, &mut known).expect("the exit itself opens it");

    // Whoever has the seeds opens both CREATEs, with fresh replay sets, and learns the path and the circuit's public key.
    let (mut entry, mut exit) = (Hop::new("entry"), Hop::new("exit"));
    let Opened::Relay(relay) = entry.open(&recorded.create) else { panic!("an entry relays") };
    assert_eq!(relay.inner, recorded.to_exit);
    let Opened::Exit(request) = exit.open(&recorded.to_exit) else { panic!("an exit ends") };
    // An answer made now is another circuit: its keys open nothing of the recorded one, in either direction.
    let (again, keys) = request.answer(&TERMS, &mut nobody()).unwrap();
    assert_ne!(again, recorded.created);
    for keys in [&keys.rx, &keys.tx] {
        assert!(Opener::new(keys, START).open(&secret, &mut BytesMut::new()).is_err());
    }
    // CREATED was sealed to a key that is gone. No key that lasts opens it, whatever is taken for the shared secret.
    let (enc, sealed) = recorded.created.split_first_chunk::<ENCAPSULATION>().unwrap();
    let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).unwrap();
    let create_hash = crate::kdf::hash(&[&recorded.to_exit]);
    for (holder, seed) in [("entry", entry.seed), ("exit", exit.seed)] {
        let secret_key = XWingSecret::from_seed(&seed.into()).unwrap();
        for node in [entry.public.node, exit.public.node] {
            let info = created_info(&named("network"), node, &create_hash);
            for shared in [[0; 32], named("a guess"), seed] {
                let shared = Secret::from(shared);
                let mode = OpModeR::Psk(psk(&shared));
                let context = setup_receiver::<Aead, Kdf, XWing>(&mode, &secret_key, &enc, &info);
                let opened = context.ok().and_then(|mut context| context.open(sealed, &[]).ok());
                assert!(opened.is_none(), "the key of the {holder} opened CREATED");
            }
        }
    }
}

/// All that an exit sees of a circuit: the CREATE it opens, and the plaintext of records.
fn seen_by_exit(recorded: &Recorded, target: &str) -> Vec<u8> {
    let mut seen = recorded.to_exit.clone();
    let ReadyCircuit { terms, tx, rx, .. } = &recorded.client;
    let mut client = CircuitEnd::new(End::Client, terms.circuit, tx, rx, START);
    let mut opener = Opener::new(&recorded.exit.rx, START);
    client.open(Destination::Target(Target::parse(target, None).unwrap()), START).unwrap();
    while let Some(record) = client.transmit(usize::MAX >> 1, START) {
        seen.extend_from_slice(&record);
        let mut plain = BytesMut::new();
        opener.open(&record, &mut plain).unwrap();
        seen.extend_from_slice(&plain);
    }
    seen
}

/// Every eight octets in a row that are not all alike, as padding is.
fn windows(bytes: &[u8]) -> HashSet<[u8; 8]> {
    let all = bytes.windows(8).filter_map(|window| <[u8; 8]>::try_from(window).ok());
    all.filter(|window| window.iter().any(|octet| *octet != window[0])).collect()
}

#[test]
fn two_exits_that_compare_all_bytes_they_saw_find_no_identifier_in_common() {
    let mut entry = Hop::new("entry");
    let (mut one, mut other) = (Hop::new("one exit"), Hop::new("another exit"));
    for round in 0..8 {
        let first = record(&mut entry, &mut one);
        let second = record(&mut entry, &mut other);
        let first = seen_by_exit(&first, &format!("a{round}.example.org:443"));
        let second = seen_by_exit(&second, &format!("b{round}.test.net:8080"));
        // What stands in everybody's circuit is no identifier: the first stream's number, the window that is granted.
        let stranger = record(&mut Hop::new("elsewhere"), &mut Hop::new("far away"));
        let everybodys = windows(&seen_by_exit(&stranger, &format!("c{round}.elsewhere.invalid:81")));
        let (first, second) = (windows(&first), windows(&second));
        let common: Vec<_> =
            first.intersection(&second).filter(|window| !everybodys.contains(*window)).collect();
        assert!(common.is_empty(), "{common:02x?}");
        assert!(first.len() > 3_000, "{} windows were compared", first.len());
    }
}

#[test]
fn one_client_twice_at_one_exit_is_no_more_alike_than_two_clients() {
    let (mut entry, mut exit) = (Hop::new("entry"), Hop::new("exit"));
    let circuits: Vec<HashSet<[u8; 8]>> = (0..2)
        .map(|n| windows(&seen_by_exit(&record(&mut entry, &mut exit), &format!("{n}{n}{n}{n}.example:443"))))
        .collect();
    let common = circuits[0].intersection(&circuits[1]).count();
    // The exit's own key id and the ends of names are all there is.
    assert!(common < 24, "{common} windows in common");
}

#[test]
fn all_that_an_entry_can_open_never_names_the_destination() {
    let (mut entry, mut exit) = (Hop::new("entry"), Hop::new("exit"));
    let name = "n7f3a9c51e08b264d.example";
    let recorded = record(&mut entry, &mut exit);
    let ReadyCircuit { terms, tx, rx, .. } = &recorded.client;
    let mut client = CircuitEnd::new(End::Client, terms.circuit, tx, rx, START);
    client.open(Destination::Target(Target::parse(&format!("{name}:443"), None).unwrap()), START).unwrap();
    // What the link carries once TLS is off, and what its own key opens of that.
    let mut seen = [&recorded.create[..], &recorded.to_exit, &recorded.created].concat();
    let mut opened_by_exit = BytesMut::new();
    let mut opener = Opener::new(&recorded.exit.rx, START);
    while let Some(record) = client.transmit(usize::MAX >> 1, START) {
        seen.extend_from_slice(&record);
        opener.open(&record, &mut opened_by_exit).unwrap();
    }
    let stands_in = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(stands_in(&opened_by_exit), "the exit is told");
    assert!(!stands_in(&seen), "the entry is not");
}
