//! The directory's work without links: a roll, nodes that say who they are, snapshots.

use super::*;
use crate::directory::shelf::Shelf;
use crate::keys::gates::to_hex;
use crate::keys::life::{NodeFacts, NodeFiles, NodeLife};
use crate::keys::store::tests::Folder;
use shoalway_overlay_proto::descriptor::{BindingKind, Endpoint, PolicyRule};
use shoalway_overlay_proto::identity::{DelegationTerms, Roles};
use shoalway_overlay_proto::network::{NetworkFile, NetworkTerms};
use shoalway_wallet::WalletKey;
use std::fs;

const NOW: UnixTime = UnixTime(1_800_000_000);
const HOUR: u64 = 3_600;

struct Lab {
    folder: Folder,
    id: [u8; 32],
    keys: Vec<SecretKey>,
    file: String,
}

impl Lab {
    fn new(name: &str, keys: u8, k: usize) -> Self {
        let keys: Vec<SecretKey> = (0..keys).map(|n| SecretKey::from_seed(&[100 + n; 32])).collect();
        let terms = NetworkTerms {
            version: 1,
            previous: None,
            name: name.to_owned(),
            k,
            keys: keys.iter().map(SecretKey::public).collect(),
            mirrors: Vec::new(),
            lab: true,
        };
        let mut file = NetworkFile::draft(terms).unwrap();
        keys.iter().for_each(|key| assert!(file.sign(key, None)));
        Self { folder: Folder::new(name), id: *file.hash(), keys, file: file.encode() }
    }

    fn wallet(n: u8) -> WalletKey {
        WalletKey::from_secret(&[n; 32]).unwrap()
    }

    fn roll(&self, lines: &str) -> PathBuf {
        let path = self.folder.0.join("roll");
        fs::write(&path, lines).unwrap();
        path
    }

    fn library(&self, name: &str) -> (Shelf, Arc<Library>) {
        let (shelf, library) = Shelf::open(&self.folder.0.join(name), self.id, NOW.plus(100 * HOUR)).unwrap();
        if library.version() == 0 {
            library.learn_network_file(self.file.as_bytes()).unwrap();
        }
        (shelf, library)
    }

    fn publisher(&self, library: &Arc<Library>, with: usize, roll: &Path) -> Arc<Publisher> {
        let keys = self.keys.iter().take(with).cloned().collect();
        let folder = self.folder.0.join("entries");
        Publisher::open(Arc::clone(library), keys, roll, &folder, "a.example b.example\n".to_owned()).unwrap()
    }

    /// A node of this wallet, with keys of its own.
    fn node(&self, n: u8, listed: bool, serial: u64) -> (Address, Bytes) {
        let (wallet, base) = (Self::wallet(n), self.folder.0.join(format!("node-{n}")));
        files::make_folder(&base).unwrap();
        let terms = DelegationTerms {
            node: wallet.address(),
            node_key: SecretKey::from_seed(&[n; 32]).public(),
            roles: Roles::EXIT | Roles::MIDDLE,
            not_before: NOW.minus(HOUR),
            not_after: NOW.plus(29 * 24 * HOUR),
            serial,
        };
        let signed = wallet.delegate(&self.id, terms).unwrap();
        let files = NodeFiles {
            delegation: base.join("node.delegation"),
            node_key: base.join("node.nodekey"),
            keys: base.join("keys"),
        };
        files::replace(&files.delegation, to_hex(&signed.encode()).as_bytes()).unwrap();
        files::replace(&files.node_key, to_hex(&[n; 32]).as_bytes()).unwrap();
        let endpoint = Endpoint {
            address: format!("127.0.0.{n}:443").parse().unwrap(),
            sni: "site.example".to_owned(),
            path: "/live".to_owned(),
            cookie: "sid".to_owned(),
            binding: BindingKind::Exporter,
        };
        let facts = NodeFacts {
            operator: None,
            family: Vec::new(),
            country: *b"CH",
            asn: 0,
            kibps: 1,
            endpoints: vec![endpoint],
            listed: Some(listed),
            policy: vec![PolicyRule::ALLOW_ALL],
        };
        let life = NodeLife::open(self.id, true, facts, files, NOW).unwrap();
        let entry = life.keys().load().own_entry();
        (wallet.address(), entry)
    }
}

#[test]
fn nodes_on_the_roll_with_a_place_are_listed_others_are_members() {
    let lab = Lab::new("publish-roll", 1, 1);
    let (one, two, three, four) =
        (lab.node(1, true, 5), lab.node(2, false, 5), Lab::wallet(3), lab.node(4, true, 5));
    let roll = lab.roll(&format!("{} # first\n\n{}\n{}\n", one.0, two.0, three.address()));
    let (_shelf, library) = lab.library("directory");
    let publisher = lab.publisher(&library, 1, &roll);
    publisher.take(one.0, &one.1, NOW).unwrap();
    publisher.take(two.0, &two.1, NOW).unwrap();
    assert_eq!(publisher.take(four.0, &four.1, NOW).err().unwrap(), "it is not on the roll");
    assert_eq!(publisher.take(one.0, &two.1, NOW).err().unwrap(), "it is another node's");
    assert_eq!(publisher.publish(NOW).unwrap(), Published::New(1));
    let directory = library.directory().unwrap();
    let listed: Vec<Address> = directory.nodes(Roles::EXIT, NOW).map(|node| node.terms.node).collect();
    assert_eq!(listed, [one.0]);
    let mut members = vec![two.0, three.address()];
    members.sort_unstable();
    assert_eq!(directory.members(), members);
    assert!(publisher.admits(&three.address(), NOW) && !publisher.admits(&four.0, NOW));
}

#[test]
fn a_node_that_says_nothing_for_long_is_no_longer_listed() {
    let lab = Lab::new("publish-silent", 1, 1);
    let one = lab.node(1, true, 5);
    let roll = lab.roll(&one.0.to_string());
    let (_shelf, library) = lab.library("directory");
    let publisher = lab.publisher(&library, 1, &roll);
    publisher.take(one.0, &one.1, NOW).unwrap();
    for (hours, wanted) in [(0, 1), (29, 1), (31, 0)] {
        publisher.publish(NOW.plus(hours * HOUR)).unwrap();
        let directory = library.directory().unwrap();
        assert_eq!(directory.snapshot().nodes().len(), wanted, "after {hours} hours");
    }
}

#[test]
fn a_later_delegation_counts_and_a_withdrawal_is_published() {
    let lab = Lab::new("publish-later", 1, 1);
    let (early, late) = (lab.node(1, true, 5), lab.node(1, true, 6));
    let (_shelf, library) = lab.library("directory");
    let roll = lab.roll(&early.0.to_string());
    let publisher = lab.publisher(&library, 1, &roll);
    publisher.take(late.0, &late.1, NOW).unwrap();
    assert_eq!(publisher.take(early.0, &early.1, NOW).err().unwrap(), "a later delegation of it is known");
    publisher.publish(NOW).unwrap();
    assert!(library.directory().unwrap().lookup(&late.0, NOW).is_some());
    let withdrawal = Lab::wallet(1).delegate(&lab.id, DelegationTerms::withdrawal(late.0, 7)).unwrap();
    lab.roll(&format!("{}\nwithdrawn {}\n", late.0, *to_hex(&withdrawal.encode())));
    publisher.publish(NOW.plus(1)).unwrap();
    let directory = library.directory().unwrap();
    assert!(directory.lookup(&late.0, NOW).is_none() && !directory.admits(&late.0, NOW));
}

#[test]
fn a_restart_forgets_nobody_and_goes_on_with_the_chain() {
    let lab = Lab::new("publish-restart", 1, 1);
    let one = lab.node(1, true, 5);
    let roll = lab.roll(&one.0.to_string());
    {
        let (shelf, library) = lab.library("directory");
        let publisher = lab.publisher(&library, 1, &roll);
        publisher.take(one.0, &one.1, NOW).unwrap();
        publisher.publish(NOW).unwrap();
        shelf.save(&library).unwrap();
    }
    let (_shelf, library) = lab.library("directory");
    assert_eq!(library.directory().unwrap().number_and_hash().0, 1);
    let publisher = lab.publisher(&library, 1, &roll);
    assert_eq!(publisher.publish(NOW.plus(HOUR)).unwrap(), Published::New(2));
    assert!(library.directory().unwrap().lookup(&one.0, NOW).is_some());
}

#[test]
fn with_too_few_keys_a_draft_waits_for_the_others() {
    let lab = Lab::new("publish-draft", 3, 2);
    let one = lab.node(1, true, 5);
    let roll = lab.roll(&one.0.to_string());
    let (_shelf, library) = lab.library("directory");
    let publisher = lab.publisher(&library, 1, &roll);
    publisher.take(one.0, &one.1, NOW).unwrap();
    let Published::Draft(path) = publisher.publish(NOW).unwrap() else { panic!("one key is not enough") };
    assert_eq!(publisher.look_at_draft(NOW).unwrap(), None);
    assert!(library.directory().is_none());
    let mut draft =
        library.with_network(|network| Draft::parse(&fs::read(&path).unwrap(), network)).unwrap().unwrap();
    assert!(library.with_network(|network| draft.sign(network, &lab.keys[2])).unwrap());
    files::replace(&path, &draft.encode()).unwrap();
    assert_eq!(publisher.look_at_draft(NOW).unwrap(), Some(Published::New(1)));
    assert!(library.directory().is_some());
    assert_eq!(publisher.look_at_draft(NOW).unwrap(), None, "it is used once");
}

#[test]
fn whoever_was_away_for_months_finds_the_way_from_what_he_knows() {
    let lab = Lab::new("publish-away", 1, 1);
    let roll = lab.roll("");
    let (shelf, library) = lab.library("directory");
    let publisher = lab.publisher(&library, 1, &roll);
    publisher.publish(NOW).unwrap();
    let (_other, reader) = lab.library("reader");
    reader.learn_snapshot(&library.answer(DirKind::Snapshot, 0), &[], NOW).unwrap();
    let last = NOW.plus(200 * HOUR);
    for hour in 1..=200 {
        publisher.publish(NOW.plus(hour * HOUR)).unwrap();
    }
    shelf.save(&library).unwrap();
    let (_again, served) = Shelf::open(&lab.folder.0.join("directory"), lab.id, last).unwrap();
    let headers = served.answer(DirKind::Headers, reader.headers_from());
    reader.learn_snapshot(&served.answer(DirKind::Snapshot, 0), &headers, last).unwrap();
    assert_eq!(reader.directory().unwrap().number_and_hash().0, 201);
}

#[test]
fn a_fork_is_kept_for_ever_and_the_directory_is_used_no_more() {
    let lab = Lab::new("publish-fork", 1, 1);
    let roll = lab.roll("");
    let (_a, one) = lab.library("one");
    let (_b, two) = lab.library("two");
    lab.publisher(&one, 1, &roll).publish(NOW).unwrap();
    lab.publisher(&two, 1, &roll).publish(NOW.plus(1)).unwrap();
    let (shelf, reader) = lab.library("reader");
    reader.learn_snapshot(&one.answer(DirKind::Snapshot, 0), &[], NOW).unwrap();
    let forked = reader.learn_snapshot(&two.answer(DirKind::Snapshot, 0), &[], NOW);
    assert!(matches!(forked, Err(LibraryError::Forked)));
    shelf.save(&reader).unwrap();
    let (_again, reader) = lab.library("reader");
    assert!(reader.directory().is_none() && reader.fork().is_some());
    assert!(lab.folder.0.join("reader/fork-1").exists());
}

#[test]
fn a_shelf_that_is_not_understood_is_no_empty_one() {
    let lab = Lab::new("publish-bent", 1, 1);
    let roll = lab.roll("");
    let (shelf, library) = lab.library("directory");
    lab.publisher(&library, 1, &roll).publish(NOW).unwrap();
    shelf.save(&library).unwrap();
    let folder = lab.folder.0.join("directory");
    let early = Shelf::open(&folder, lab.id, NOW.minus(HOUR)).err().unwrap().to_string();
    assert!(early.contains("from the future"), "{early}");
    for name in ["chain", "headers", "snapshot", "revocations", "network-00001.toml"] {
        let path = folder.join(name);
        let good = fs::read(&path).unwrap();
        let mut bent = good.clone();
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        bent.pop();
        files::replace(&path, &bent).unwrap();
        let opened = Shelf::open(&folder, lab.id, NOW);
        assert!(opened.is_err(), "{name}");
        files::replace(&path, &good).unwrap();
    }
    assert!(Shelf::open(&folder, lab.id, NOW).is_ok());
}

#[test]
fn a_roll_says_in_which_line_it_is_wrong() {
    for (text, wanted) in [("0x12\n", 1), ("# x\n\nnobody\n", 3), ("withdrawn 00\n", 1)] {
        assert_eq!(Roll::parse(text).err().unwrap().0, wanted, "{text}");
    }
}
