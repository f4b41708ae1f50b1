//! What nodes, directories and invitations say in the overlay, as its parsers meet it before any signature is believed.
//!
//! Promises: no panic; what was read is written back as it was; what is none is refused. Signed things are signed
//! here, by keys that everybody knows, so that what lies behind a signature is reached too.

use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::chain::{Chain, Fork};
use shoalway_overlay_proto::descriptor::{DescriptorChecks, SignedDescriptor};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationTerms, Revocations, Roles};
use shoalway_overlay_proto::invite::Invite;
use shoalway_overlay_proto::kdf::hash;
use shoalway_overlay_proto::network::{Network, NetworkFile, NetworkTerms};
use shoalway_overlay_proto::snapshot::{Draft, SignedHeader, Snapshot, SnapshotHeader, VALID_SECONDS};

/// The time of the published vectors, which the seeds are from.
const NOW: UnixTime = UnixTime(1_800_000_000);

/// A delegation: written back the same, and checked.
///
/// # Panics
/// When a promise is broken.
pub fn delegation(data: &[u8]) {
    let Ok(delegation) = Delegation::parse(data) else { return };
    assert!(delegation.encode() == data, "not written back as it was read");
    let Ok(verified) = delegation.check(&hash(&[b"vector network"]), NOW) else { return };
    let mut table = Revocations::new();
    assert!(table.admit(&verified, NOW).is_ok(), "the first of a wallet holds");
    assert!(table.admit(&verified, NOW).is_ok(), "and so does the same again");
}

/// The table of serials that is kept on disk.
///
/// # Panics
/// When a promise is broken.
pub fn revocations(data: &[u8]) {
    let network = hash(&[b"vector network"]);
    if let Ok(table) = Revocations::parse(data, &network) {
        assert!(table.encode(&network) == data, "not written back as it was read");
    }
}

/// A descriptor, with its signature: what is in front of it can be signed anew, and then holds or is refused.
///
/// # Panics
/// When a promise is broken.
pub fn descriptor(data: &[u8]) {
    let Ok(signed) = SignedDescriptor::parse(data) else { return };
    let descriptor = signed.unchecked().clone();
    let key = SecretKey::from_seed(&[7; 32]);
    let Ok(again) = descriptor.sign(&key) else { panic!("what was read cannot be written") };
    let (before, after) = (data.split_last_chunk::<64>(), again.split_last_chunk::<64>());
    assert!(before.map(|(text, _)| text) == after.map(|(text, _)| text), "not written back as it was read");
    let delegation = DelegationTerms {
        node: descriptor.node,
        node_key: key.public(),
        roles: Roles::EXIT,
        not_before: NOW,
        not_after: UnixTime(u64::MAX),
        serial: 1,
    };
    let now = descriptor.published;
    let checks = DescriptorChecks { network: &descriptor.network, lab: true, delegation: &delegation, now };
    let Ok(read) = SignedDescriptor::parse(&again) else { panic!("what was written cannot be read") };
    assert!(read.check(&checks) == Ok(descriptor), "what was signed rightly does not hold");
}

/// A network file.
///
/// # Panics
/// When a promise is broken.
pub fn network_file(data: &[u8]) {
    let Ok(file) = NetworkFile::parse_draft(data) else { return };
    assert!(file.encode().as_bytes() == data, "not written back as it was read");
    let Ok(draft) = NetworkFile::draft(file.terms().clone()) else { panic!("its terms cannot be written") };
    match NetworkFile::parse_draft(draft.encode().as_bytes()) {
        Ok(again) => assert!(again.terms() == file.terms(), "its terms are not read back"),
        Err(error) => panic!("its terms cannot be read back: {error}"),
    }
}

/// A snapshot: as a file, and as a body behind a header that is rightly signed. The first byte says how many nodes.
///
/// # Panics
/// When a promise is broken.
pub fn snapshot(data: &[u8]) {
    let network = network();
    file(data, &network);
    let Some((&nodes, body)) = data.split_first() else { return };
    let header = SnapshotHeader {
        network: *network.id(),
        number: 1,
        prev: [0; 32],
        published: NOW,
        valid_until: NOW.plus(VALID_SECONDS),
        net_version: 1,
        nodes: nodes.into(),
        body_hash: hash(&[body]),
    };
    let mut bytes = header.encode();
    bytes.push(2);
    for (index, name) in [(0, "a"), (1, "b")] {
        bytes.push(index);
        bytes.extend_from_slice(&header.sign(&directory_key(name)));
    }
    bytes.extend_from_slice(body);
    file(&bytes, &network);
}

fn file(bytes: &[u8], network: &Network) {
    let draft = Draft::parse(bytes, network);
    let Ok(snapshot) = Snapshot::parse(bytes, network, None) else { return };
    match draft {
        Ok(draft) => {
            assert!(draft.encode() == bytes && draft.is_complete(network), "not written back as it was")
        }
        Err(error) => panic!("a snapshot that holds is no draft: {error}"),
    }
    let nodes = snapshot.nodes().iter().map(|node| node.terms().node);
    assert!(nodes.is_sorted() && snapshot.members().is_sorted(), "out of order");
    let again = Snapshot::parse(bytes, network, Some(&snapshot));
    assert!(
        again.is_ok_and(|again| again.nodes() == snapshot.nodes()),
        "the one before changes what is read"
    );
}

/// The chain of snapshots that is kept on disk, a fork, or a header with its signatures.
///
/// # Panics
/// When a promise is broken.
pub fn chain(data: &[u8]) {
    let network = network();
    if let Ok(chain) = Chain::parse(data, &network) {
        assert!(chain.encode() == data, "not written back as it was read");
    }
    if let Ok(fork) = Fork::parse(data, &network) {
        assert!(fork.encode() == data && fork.headers().0 != fork.headers().1, "no fork");
    }
    if let Ok(header) = SignedHeader::parse(data) {
        assert!(header.encode() == data, "not written back as it was read");
        let mut chain = Chain::new(*network.id());
        let (number, hash) = (header.header.number, header.header.hash());
        chain.judge(&network, number, &hash, std::slice::from_ref(&header));
        assert!(chain.newest().is_none(), "judging accepts nothing");
    }
}

/// An invitation: as a link, and as the payload of one.
///
/// # Panics
/// When a promise is broken.
pub fn invite(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(invite) = Invite::parse(text)
    {
        assert!(invite.link().is_ok_and(|link| link == text.trim()), "not written back as it was read");
    }
    let Ok(invite) = Invite::decode(data) else { return };
    // Endpoints may be so long that no link holds them all.
    let Ok(link) = invite.link() else { return };
    assert!(Invite::parse(&link) == Ok(invite), "what was made is not read back");
}

/// The network of the published vectors.
fn network() -> Network {
    let keys = ["a", "b", "c"].map(directory_key);
    let terms = NetworkTerms {
        version: 1,
        previous: None,
        name: "Vectors".to_owned(),
        k: 2,
        keys: keys.iter().map(SecretKey::public).collect(),
        mirrors: vec!["https://directory.example/ovl1".to_owned()],
        lab: false,
    };
    let Ok(mut file) = NetworkFile::draft(terms) else { panic!("the terms are right") };
    keys.iter().for_each(|key| assert!(file.sign(key, None), "a key of the file"));
    let Ok(network) = Network::begin(file.encode().as_bytes()) else { panic!("the file is right") };
    network
}

fn directory_key(name: &str) -> SecretKey {
    SecretKey::from_seed(&hash(&[b"vector directory key ", name.as_bytes()]))
}
