//! The sections about the overlay: `[overlay]`, the local part, and `[node]`, the remote part.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/overlay`), what it does (`overlay`).

use super::{At, Many, SiteAcmeSection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The local part of the overlay: what rules that say `overlay` go through. Without this section there is none.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OverlaySection {
    /// Files with invitations, one link a line, readable by their owner alone; `shoalway join` writes one. Required.
    pub invite: Many,
    /// Network file that the invitations must belong to. Without this key the one they name is fetched and pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<String>>,
    /// Nodes on each path: 2, or 3 for a node between entry and exit that knows neither end. Without this key 2.
    #[schemars(range(min = 2, max = 3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<At<i64>>,
    /// How finely traffic is spread over exits.
    pub spread: At<SpreadWord>,
    /// Which exits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exits: Option<OverlayExitsSection>,
    /// Whether a connection counts as open before the exit has said so, which saves a round trip and tells applications
    /// of failures late. Without this key false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimistic: Option<At<bool>>,
    /// Paths that are kept ready for new connections, 0 to 64. Without this key 8.
    #[schemars(range(min = 0, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<At<i64>>,
    /// Directory for what is known of the network and which entries are kept, made for this user alone. Without this key
    /// `overlay` where this program keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<String>>,
    /// Certificates (PEM) that entries' sites are trusted by. Without this key those that this computer trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<At<String>>,
}

impl Default for OverlaySection {
    fn default() -> Self {
        Self {
            invite: Many::default(),
            network: None,
            hops: None,
            spread: At::default_of(SpreadWord::Site),
            exits: None,
            optimistic: None,
            stock: None,
            state: None,
            ca: None,
        }
    }
}

/// Which exits of the overlay are used where a rule does not say.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OverlayExitsSection {
    /// How many at once, 1 to 64. Without this key 4.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<At<i64>>,
    /// Only in these countries, two letters each. Without this key in any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countries: Option<Many>,
}

/// How finely traffic is spread over exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpreadWord {
    /// One exit for a registered domain and those that belong together with it.
    Site,
    /// One exit for a host name.
    Host,
    /// An exit for each connection.
    Connection,
    /// An exit for each request of plain HTTP; for tunnels as `connection`.
    Request,
}

/// The remote part of the overlay: an entry, middle, exit or directory behind a site of its own. Without this section this
/// program is no node. `shoalway node setup` writes one.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSection {
    /// Network file of the network it belongs to. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<String>>,
    /// Addresses its site listens on, each `ADDRESS:PORT`. Required.
    pub listen: Many,
    /// Host name of its site, which its certificate holds. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<At<String>>,
    /// What everybody else sees there. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover: Option<CoverSection>,
    /// Certificate of the site, unless it has `acme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<NodeTlsSection>,
    /// Certificate of the site by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<SiteAcmeSection>,
    /// Path of its links, such as one of the site's own. Stable: invitations name it. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<At<String>>,
    /// Name of the cookie its links come with, 1 to 32 characters, one that sites have. Stable like `path`. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<At<String>>,
    /// Addresses under which others reach it, each `ADDRESS:PORT`. Without this key those of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<Many>,
    /// Whether everybody in the network is told of its addresses. Without this key true, but for a node that is an entry
    /// and nothing else: that one is found by invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<At<bool>>,
    /// Name of its wallet, or the path of the .json file, of which the node needs the .delegation and .nodekey beside it.
    /// Without this key `node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<At<String>>,
    /// Directory of the wallet's files, when it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<At<String>>,
    /// What it does: `entry`, `middle`, `exit`, `directory`, as its wallet has signed. Without this key what its wallet has
    /// signed, whatever it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Many>,
    /// Files with invitations to nodes of the directory, one link a line. Required, unless it publishes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<Many>,
    /// It publishes the network's directory. One node of a network does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishSection>,
    /// Ports an exit connects to, the first that fits decides: `80`, `8000-8999`, `!25`, or the words `common` and `all`.
    /// Without this key `common`: web, mail but port 25, shells, names, chat. Port 25 is refused in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Many>,
    /// Most bytes an exit carries in a month of 30 days, both directions together, such as `2 TB`. Without this key no limit.
    #[schemars(extend("format" = "size"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<At<String>>,
    /// Address of this machine that an exit connects from. Without this key the system chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_from: Option<At<String>>,
    /// Wallet of whoever runs it, where one runs several nodes. Without this key its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<At<String>>,
    /// Wallets of nodes that belong together with it, at most 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<Many>,
    /// Country it is in, two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<At<String>>,
    /// Number of the network it is in (AS number).
    #[schemars(range(min = 1, max = 4_294_967_295i64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<At<i64>>,
    /// What it can carry, in KiB a second, 1 to 4,000,000. Without this key 1024.
    #[schemars(range(min = 1, max = 4_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kibps: Option<At<i64>>,
    /// Directory for the keys it makes itself and what it knows of the network, made for this user alone. Without this key
    /// `node` where this program keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<String>>,
    /// Certificates (PEM) that other nodes' sites are trusted by. Without this key those that this computer trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<At<String>>,
}

/// TLS of a node's site from files, relative to the file that names them.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeTlsSection {
    /// Certificate chain (PEM), the site's own certificate first. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<At<String>>,
    /// Private key (PEM) of the certificate, readable by its owner alone. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
    /// What the authority says of the certificate's validity (an OCSP answer, DER).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<At<String>>,
}

/// What everybody sees who comes to a node and was not invited: one of the two.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoverSection {
    /// Directory of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<At<String>>,
    /// Another server, as in `to` of a site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<At<String>>,
}

/// What it takes to publish a directory.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PublishSection {
    /// Files with keys of the directory, as `shoalway network new` makes them. Required. With fewer than it takes, drafts
    /// wait for `shoalway network sign`.
    pub keys: Many,
    /// File of the wallets that take part, one address a line. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll: Option<At<String>>,
    /// File of domains that belong together, one group a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<At<String>>,
}
