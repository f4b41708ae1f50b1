//! What is configured of the overlay, checked.

use shoalway_net::tls::Roots;
use shoalway_overlay_proto::descriptor::{Endpoint, PolicyRule};
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::invite::InvitedEntry;
use shoalway_overlay_proto::path::ExitWish;
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::wallet::Address;
use std::net::IpAddr;
use std::path::PathBuf;

/// The local part.
#[derive(Clone)]
pub struct OverlaySettings {
    /// The network, by the hash of its first file.
    pub network: [u8; 32],
    /// The network's file, where one is named.
    pub file: Option<String>,
    /// Entries one was invited to; never empty.
    pub invited: Vec<InvitedEntry>,
    /// 2 or 3.
    pub hops: u8,
    /// How traffic is spread.
    pub spread: Spread,
    /// Which exits.
    pub exits: ExitWish,
    /// Whether connections count as open early.
    pub optimistic: bool,
    /// Paths kept ready.
    pub stock: usize,
    /// Where its state is.
    pub state: PathBuf,
    /// Whom it trusts in TLS.
    pub roots: Roots,
}

/// The remote part.
#[derive(Clone)]
pub struct NodeSettings {
    /// The network, by the hash of its first file.
    pub network: [u8; 32],
    /// The network's file.
    pub file: String,
    /// Whether it is a lab.
    pub lab: bool,
    /// Name of its site.
    pub site: String,
    /// Path of its links.
    pub path: String,
    /// Cookie of its links.
    pub cookie: String,
    /// Where others reach it.
    pub endpoints: Vec<Endpoint>,
    /// Whether it is told where; none: as its roles say.
    pub listed: Option<bool>,
    /// The wallet's delegation.
    pub delegation: PathBuf,
    /// The node key.
    pub node_key: PathBuf,
    /// What the wallet must have signed; none: anything.
    pub roles: Option<Roles>,
    /// Nodes of the directory.
    pub directory: Vec<InvitedEntry>,
    /// It publishes.
    pub publish: Option<PublishSettings>,
    /// Ports it connects to as an exit.
    pub policy: Vec<PolicyRule>,
    /// Bytes in 30 days.
    pub monthly: Option<u64>,
    /// Where an exit connects from.
    pub leave_from: Option<IpAddr>,
    /// Who runs it.
    pub operator: Option<Address>,
    /// Its family.
    pub family: Vec<Address>,
    /// Its country.
    pub country: [u8; 2],
    /// The number of its network, or 0.
    pub asn: u32,
    /// What it can carry, in KiB a second.
    pub kibps: u32,
    /// Where its state is.
    pub state: PathBuf,
    /// Whom it trusts in TLS.
    pub roots: Roots,
}

/// What it publishes with.
#[derive(Clone)]
pub struct PublishSettings {
    /// Files of keys.
    pub keys: Vec<PathBuf>,
    /// File of the wallets that take part.
    pub roll: PathBuf,
    /// Domains that belong together.
    pub affinity: String,
}
