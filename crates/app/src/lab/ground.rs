//! What all nodes of the lab share: its directory keys and network file, an authority for certificates, ways to dial.
//!
//! Made by chance at each start, kept in memory alone. Not here: nodes (`node`), sockets (`sockets`).

use super::node::LabNode;
use super::places::AFFINITY;
use super::{LabError, made};
use shoalway_net::dialer::{DialConfig, Dialer};
use shoalway_net::egress_guard::{EgressGuard, Reach};
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::Roots;
use shoalway_net::tls_client::LinkTls;
use shoalway_net::tls_server::TlsServer;
use shoalway_overlay::link::dial::Dialing;
use shoalway_overlay::{chance, time};
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::network::{Network, NetworkFile, NetworkTerms};
use shoalway_overlay_proto::snapshot::{Contents, Draft};
use shoalway_types::DomainName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How many of the directory's keys must sign.
const K: usize = 2;
/// The keys of the directory.
const KEYS: usize = 3;

/// What all nodes have in common.
pub struct Ground {
    /// The network, for which everything is signed.
    pub network: Network,
    file: String,
    directory: Vec<SecretKey>,
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    dialer: Dialer,
    tls: LinkTls,
}

impl Ground {
    /// Draws all keys. `names` are what exits resolve; `own` is where the proxy listens, which no exit connects to.
    ///
    /// # Errors
    /// [`LabError`]
    pub fn new(names: &[(DomainName, IpAddr)], own: SocketAddr) -> Result<Self, LabError> {
        let directory: Vec<SecretKey> =
            (0..KEYS).map(|_| SecretKey::from_seed(Secret::random(&mut chance::rng()).bytes())).collect();
        let terms = NetworkTerms {
            version: 1,
            previous: None,
            name: "lab".to_owned(),
            k: K,
            keys: directory.iter().map(SecretKey::public).collect(),
            mirrors: Vec::new(),
            lab: true,
        };
        let mut file = made("network file", NetworkFile::draft(terms))?;
        directory.iter().take(K).for_each(|key| {
            file.sign(key, None);
        });
        let file = file.encode();
        let network = made("network", Network::begin(file.as_bytes()))?;
        let ca = authority()?;
        let tls = made("TLS", LinkTls::new(&Roots::Pem(ca.pem().into_bytes())))?;
        // Nothing of the lab leaves this machine.
        let reach = Reach::Only { public: false, private: false, loopback: true };
        let guard = Arc::new(EgressGuard::new(reach, vec![own], Vec::new()));
        let resolver = Resolver::of_table(names, Handle::current());
        let dialer = Dialer::new(resolver, guard, DialConfig::default());
        Ok(Self { network, file, directory, ca, dialer, tls })
    }

    /// The network's name.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        self.network.id()
    }

    /// Resolves the lab's names and reaches this machine alone.
    #[must_use]
    pub const fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// How links are opened.
    #[must_use]
    pub fn dialing(&self) -> Dialing {
        Dialing { dialer: self.dialer.clone(), tls: self.tls.clone(), patience: Duration::from_secs(10) }
    }

    /// TLS of a site.
    ///
    /// # Errors
    /// [`LabError`]
    pub fn certificate(&self, site: &str) -> Result<TlsServer, LabError> {
        let key = made("key", rcgen::KeyPair::generate())?;
        let params = made("certificate", rcgen::CertificateParams::new(vec![site.to_owned()]))?;
        let certificate = made("certificate", params.signed_by(&key, &self.ca))?;
        let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
        let (pem, key) = (certificate.pem(), key.serialize_pem());
        made("TLS", TlsServer::from_pem(pem.as_bytes(), key.as_bytes(), None, &alpn))
    }

    /// Signs the list of all nodes and lets each of them know it.
    ///
    /// # Errors
    /// [`LabError`]
    pub fn publish(&self, nodes: &[LabNode]) -> Result<(), LabError> {
        let mut listed: Vec<&LabNode> = nodes.iter().collect();
        listed.sort_by_key(|node| node.address);
        let contents = Contents {
            nodes: listed.iter().map(|node| node.listed()).collect(),
            members: Vec::new(),
            affinity: AFFINITY.to_owned(),
        };
        let mut draft = made("directory", Draft::new(&self.network, None, time::unix(), contents))?;
        for key in self.directory.iter().take(K) {
            draft.sign(&self.network, key);
        }
        let snapshot = bytes::Bytes::from(draft.encode());
        for node in nodes {
            made("network file", node.library.learn_network_file(self.file.as_bytes()))?;
            made("directory", node.library.learn_snapshot(&snapshot, &[], time::unix()))?;
        }
        Ok(())
    }
}

fn authority() -> Result<rcgen::CertifiedIssuer<'static, rcgen::KeyPair>, LabError> {
    let mut params = made("authority", rcgen::CertificateParams::new(Vec::<String>::new()))?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = made("key", rcgen::KeyPair::generate())?;
    made("authority", rcgen::CertifiedIssuer::self_signed(params, key))
}
