//! What all programs of a test network share: its file, the keys of its directory, an authority for the sites of its nodes.

use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::identity::{DelegationTerms, Roles};
use shoalway_overlay_proto::network::Network;
use shoalway_testkit::proxy::run;
use shoalway_testkit::{Proxy, TempDir, TestCa};
use shoalway_types::wallet::Address;
use shoalway_wallet::{WalletKey, to_hex};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_shoalway");
const DAY: u64 = 86_400;

/// What all programs of the network share: its file, the keys of its directory, an authority for their sites.
pub(crate) struct Ground {
    pub(crate) dir: TempDir,
    pub(crate) ca: TestCa,
    pub(crate) network: [u8; 32],
}

impl Ground {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        let out = dir.path().display().to_string();
        run(BIN, &dir, &["network", "new", "home", "--lab", "--out", &out]).assert_code(0);
        let file = fs::read(dir.join("home.network.toml")).unwrap();
        let network = *Network::begin(&file).unwrap().id();
        Self { dir, ca: TestCa::new(), network }
    }

    /// Wallet number `n`.
    pub(crate) fn wallet(n: u8) -> WalletKey {
        WalletKey::from_secret(&[n; 32]).unwrap()
    }

    /// Writes what `shoalway key rotate` writes for a wallet.
    pub(crate) fn delegate(&self, n: u8, roles: Roles) -> Address {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let terms = DelegationTerms {
            node: Self::wallet(n).address(),
            node_key: SecretKey::from_seed(&[n; 32]).public(),
            roles,
            not_before: UnixTime(now),
            not_after: UnixTime(now + 20 * DAY),
            serial: now,
        };
        let signed = Self::wallet(n).delegate(&self.network, terms).unwrap();
        self.dir.write_private(&format!("node-{n}.delegation"), &*to_hex(&signed.encode()));
        self.dir.write_private(&format!("node-{n}.nodekey"), &*to_hex(&[n; 32]));
        Self::wallet(n).address()
    }

    /// `[node]` number `n` at an address, with a page of its own as its cover.
    pub(crate) fn node(&self, n: u8, at: SocketAddr, lines: &str) -> String {
        let host = format!("site{n}.example");
        let issued = self.ca.issue(&[&host]);
        let cover = self.dir.join(&format!("cover-{n}"));
        fs::create_dir_all(&cover).unwrap();
        fs::write(cover.join("index.html"), format!("page {n}")).unwrap();
        let path = |name: &str| self.dir.join(name).display().to_string();
        format!(
            "[node]\nnetwork = \"{}\"\nlisten = \"{at}\"\nhost = \"{host}\"\ncover = {{ files = \"{}\" }}\n\
             tls = {{ cert = \"{}\", key = \"{}\" }}\npath = \"/live{n}\"\ncookie = \"sid{n}\"\n\
             wallet = \"{}\"\nca = \"{}\"\nstate = \"{}\"\npolicy = \"all\"\n{lines}\n",
            path("home.network.toml"),
            cover.display(),
            issued.cert.display(),
            issued.key.display(),
            path(&format!("node-{n}.json")),
            self.ca.file().display(),
            path(&format!("state-{n}")),
        )
    }

    /// The section of the directory's node, which is the entry too.
    pub(crate) fn directory(&self, at: SocketAddr, roll: &[Address]) -> String {
        let roll: String = roll.iter().map(|wallet| format!("{wallet}\n")).collect();
        self.dir.write("roll", roll);
        let (key, roll) = (self.dir.join("directory-0.key"), self.dir.join("roll"));
        let publish =
            format!("publish = {{ keys = [\"{}\"], roll = \"{}\" }}", key.display(), roll.display());
        self.node(1, at, &publish)
    }

    /// The section of an exit that was invited by the directory.
    pub(crate) fn exit(&self, at: SocketAddr, directory: &Proxy) -> String {
        let link = directory.command(&["share", "link", "--nodes"]);
        let file = self.dir.write_private("directory.invite", link.assert_code(0).text());
        self.node(2, at, &format!("directory = \"{}\"", file.display()))
    }

    /// `[overlay]` of a client that was invited by the entry.
    pub(crate) fn client(&self, entry: &Proxy) -> String {
        let link = entry.command(&["share", "link"]).assert_code(0).text();
        let (given, taken) = (self.dir.write_private("given", link), self.dir.join("home.invite"));
        let words = ["join", &given.display().to_string(), "--out", &taken.display().to_string()];
        let said = run(BIN, &self.dir, &words).assert_code(0).text();
        assert!(said.contains("only a lab permits"), "{said}");
        assert_eq!(fs::metadata(&taken).unwrap().permissions().mode() & 0o777, 0o600);
        format!(
            "rules = [\"overlay all\"]\n[overlay]\ninvite = \"{}\"\nca = \"{}\"\nstate = \"{}\"\n",
            taken.display(),
            self.ca.file().display(),
            self.dir.join("state-client").display()
        )
    }
}
