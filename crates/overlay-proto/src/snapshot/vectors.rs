//! The published vectors of snapshots (ovl1 section 15); those of chains and forks stand in the same file.

use super::{Contents, Draft, Node, SignedHeader, Snapshot, SnapshotHeader};
use crate::descriptor::vectors::small;
use crate::identity::vectors::{DAY, HOUR, NOW, node_key, outcome, sign, terms};
use crate::identity::{Delegation, DelegationTerms};
use crate::moment::UnixTime;
use crate::network::Network;
use crate::network::vectors::{directory_key, first, follow};
use crate::vectors::hex;
use serde_json::{Value, json};
use shoalway_types::wallet::Address;

pub(crate) fn network() -> Network {
    follow(&[first()]).unwrap()
}

pub(crate) fn node(name: &str, id: &[u8; 32]) -> (Delegation, Vec<u8>) {
    let descriptor = small(name, id, NOW.minus(HOUR)).sign(&node_key(name)).unwrap();
    (sign(name, id, terms(name)), descriptor)
}

fn contents(id: &[u8; 32], names: &[&str]) -> Contents {
    Contents {
        nodes: names.iter().map(|name| node(name, id)).collect(),
        members: vec![Address([4; 20]), Address([9; 20])],
        affinity: "a.example b.example\nc.example d.example\n".to_owned(),
    }
}

pub(crate) fn signed(draft: &Draft, network: &Network, by: &[&str]) -> Vec<u8> {
    let mut draft = draft.clone();
    by.iter().for_each(|name| assert!(draft.sign(network, &directory_key(name)), "{name}"));
    draft.encode()
}

/// A file with this header and body, signed by a and b whatever they say.
fn forged(body: &[u8], change: &dyn Fn(&mut SnapshotHeader)) -> Vec<u8> {
    let network = network();
    let draft = Draft::new(&network, None, NOW, contents(network.id(), &["one"])).unwrap();
    let mut header = draft.header().header.clone();
    header.body_hash = crate::kdf::hash(&[body]);
    change(&mut header);
    let signatures = vec![(0, header.sign(&directory_key("a"))), (1, header.sign(&directory_key("b")))];
    [SignedHeader { header, signatures }.encode(), body.to_vec()].concat()
}

fn case(name: &str, file: &[u8]) -> Value {
    let result = Snapshot::parse(file, &network(), None);
    let mut case = json!({
        "check": "file", "name": name, "network_files": [first()], "snapshot": hex(file),
        "outcome": outcome(&result),
    });
    match result {
        Ok(snapshot) => {
            let addresses =
                |nodes: &[Node]| -> Value { nodes.iter().map(|n| hex(n.terms().node.0)).collect() };
            case["number"] = snapshot.number().into();
            case["hash"] = hex(snapshot.header().header.hash()).into();
            case["signers"] = snapshot.header().signers().collect();
            case["nodes"] = addresses(snapshot.nodes());
            case["members"] = snapshot.members().iter().map(|member| hex(member.0)).collect();
        }
        Err(error) => case["why"] = error.to_string().into(),
    }
    case
}

/// Files of their own: what is right, who signed, what the header says.
pub(crate) fn files() -> Vec<Value> {
    let network = network();
    let draft = Draft::new(&network, None, NOW, contents(network.id(), &["one", "two", "three"])).unwrap();
    let by = |name: &str, keys: &[&str]| case(name, &signed(&draft, &network, keys));
    let right = signed(&draft, &network, &["a", "c"]);
    let bent = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = forged(&contents(network.id(), &["one"]).encode(), &|_| ());
        change(&mut file);
        case(name, &file)
    };
    let header = |name: &str, change: &dyn Fn(&mut SnapshotHeader)| {
        case(name, &forged(&contents(network.id(), &["one"]).encode(), change))
    };
    let mut cases = vec![
        case("three nodes, signed by 2 of 3", &right),
        by("signed by 3 of 3", &["a", "b", "c"]),
        by("signed by 1 of 3", &["b"]),
        by("signed by nobody", &[]),
        bent("a signature bent", &|file| file[140] ^= 1),
        bent("a key that is not there", &|file| file[133 + 65] = 3),
        bent("a key twice", &|file| file[133 + 65] = 0),
        bent("33 signatures", &|file| file[132] = 33),
        bent("the body bent", &|file| *file.last_mut().unwrap() ^= 1),
        bent("a byte too many", &|file| file.push(0)),
        header("another network", &|h| h.network = [0; 32]),
        header("number 0", &|h| h.number = 0),
        header("number 1 with a predecessor", &|h| h.prev = [1; 32]),
        header("number 2 without one", &|h| h.number = 2),
        header("valid for a second less than 36 hours", &|h| h.valid_until = h.valid_until.minus(1)),
        header("signed under version 2", &|h| h.net_version = 2),
        header("2049 nodes", &|h| h.nodes = 2049),
        header("a node more than there are", &|h| h.nodes = 2),
    ];
    cases.extend(entries(&network));
    cases.extend(orders(&network));
    cases
}

/// Files with one node, whose entry is wrong.
fn entries(network: &Network) -> Vec<Value> {
    let id = network.id();
    let of = |name: &str, delegation: Delegation, descriptor: Vec<u8>| {
        let contents = Contents { nodes: vec![(delegation, descriptor)], ..contents(id, &[]) };
        case(name, &forged(&contents.encode(), &|_| ()))
    };
    let live = || node("one", id).1;
    let delegated = |change: &dyn Fn(&mut DelegationTerms)| {
        let mut terms = terms("one");
        change(&mut terms);
        sign("one", id, terms)
    };
    let old = |published: UnixTime| small("one", id, published).sign(&node_key("one")).unwrap();
    let withdrawn = || delegated(&|t| *t = DelegationTerms::withdrawal(t.node, 2));
    let mut unsigned = delegated(&|_| ());
    unsigned.signature[64] = 55 - unsigned.signature[64];
    vec![
        of("withdrawn", withdrawn(), Vec::new()),
        of("withdrawn, with a descriptor", withdrawn(), live()),
        of("not withdrawn, without a descriptor", delegated(&|_| ()), Vec::new()),
        of("a delegation somebody else signed", unsigned, live()),
        of("a delegation that had expired", delegated(&|t| t.not_after = NOW.minus(601)), live()),
        of("a delegation that was not valid yet", delegated(&|t| t.not_before = NOW.plus(601)), live()),
        of("a descriptor that had expired", delegated(&|_| ()), old(NOW.minus(30 * HOUR + 1))),
        of("a descriptor from the future", delegated(&|_| ()), old(NOW.plus(601))),
        of("a descriptor of another node", delegated(&|_| ()), node("two", id).1),
        of("a descriptor of 4 bytes", delegated(&|_| ()), b"OVD1".to_vec()),
        of(
            "a delegation that ends with the descriptor",
            delegated(&|t| t.not_after = NOW.plus(29 * HOUR)),
            live(),
        ),
        of("a delegation that ends before", delegated(&|t| t.not_after = NOW.plus(29 * HOUR - 1)), live()),
        of("a delegation of a day and 20", delegated(&|t| t.not_after = t.not_before.plus(30 * DAY)), live()),
    ]
}

/// Files whose lists are not as they should be.
fn orders(network: &Network) -> Vec<Value> {
    let body = contents(network.id(), &["one", "two"]).encode();
    let entry = (body.len() - 4 - 40 - 4 - 40) / 2;
    let (nodes, tail) = body.split_at(2 * entry);
    let (members, affinity) = tail.split_at(44);
    let of = |name: &str, parts: &[&[u8]]| case(name, &forged(&parts.concat(), &|h| h.nodes = 2));
    let text = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    vec![
        of("two nodes", &[nodes, tail]),
        of("nodes in the wrong order", &[&nodes[entry..], &nodes[..entry], tail]),
        of("a node twice", &[&nodes[..entry], &nodes[..entry], tail]),
        of("members in the wrong order", &[nodes, &members[..4], &members[24..], &members[4..24], affinity]),
        of("a member twice", &[nodes, &members[..24], &members[4..24], affinity]),
        of("8193 members", &[nodes, &8193u32.to_be_bytes(), &members[4..], affinity]),
        of("no affinity", &[nodes, members, &text("")]),
        of("an affinity with an upper-case letter", &[nodes, members, &text("a.example B.example\n")]),
        of("an affinity with a domain twice", &[nodes, members, &text("a.example b.example\na.example\n")]),
        of("an affinity that is no text", &[nodes, members, &[0, 0, 0, 1, 0xff]]),
        of("an affinity cut", &[nodes, members, &affinity[..affinity.len() - 1]]),
    ]
}
