//! How a link is opened (ovl1 section 4): one sealed value under a cookie's name, bound to the TLS connection.
//!
//! The client seals ([`seal_opener`]) and sends; the server asks its [`GateKeeper`] of every such value, opens what a
//! gate admitted ([`Gated::open`]), and proves itself by ACCEPT. A node that dials sends NODE_AUTH then.
//!
//! ```text
//! opener = base64url of 160 bytes: enc b[32] | gate b[16] | sealed b[112]
//! ```
//! Not here: budgets, which sessions exist, cookies and requests (`overlay`); frames (`link`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, PskBundle, Serializable, setup_receiver};
use rand_core::CryptoRng;
use shoalway_types::wallet::Address;
use std::fmt;
use zeroize::Zeroizing;

use crate::UnixTime;
use crate::kdf::exporter::{Aead, Kdf};
use crate::kdf::{Secret, mac};
use plain::Plain;

pub mod accept;
pub mod gate;
mod plain;
pub mod secrets;

pub use accept::{Accept, AcceptFault};
pub use gate::{GateKeeper, Gated};
pub use plain::Asked;
pub use secrets::{LinkSecrets, NodeAuth, ResumeClaim, ResumeKey};

/// The version of the protocol that this code speaks, the only one.
pub const VERSION: u8 = 1;
/// Characters of an opener: a cookie value of any other length is none.
pub const OPENER_TEXT: usize = 214;
/// Bytes of an opener.
pub const OPENER: usize = ENC + GATE + SEALED;
/// The label under which TLS exports the 32 bytes of [`Binding::Exporter`], with an empty context.
pub const EXPORTER_LABEL: &str = "EXPORTER-shoalway-ovl1";
/// Behind a front: how far the client's clock may be off, in seconds.
pub const CLOCK_TOLERANCE: u64 = 300;

const ENC: usize = 32;
const GATE: usize = 16;
const SEALED: usize = Plain::LENGTH + 16;
const PSK_ID: &[u8] = b"ovl1 gate";

/// What ties an opener to the connection it is sent on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Binding 1: what TLS exports under [`EXPORTER_LABEL`]; a replay on another connection is worth nothing.
    Exporter([u8; 32]),
    /// Binding 2: a front ends TLS. Clocks and a set of known openers stand against replays.
    Front,
}

impl Binding {
    /// `bind` of the protocol.
    #[must_use]
    pub fn bytes(&self) -> [u8; 33] {
        let (number, exported) = match self {
            Self::Exporter(exported) => (1, *exported),
            Self::Front => (2, [0; 32]),
        };
        let mut bytes = [number; 33];
        bytes.iter_mut().skip(1).zip(exported).for_each(|(to, from)| *to = from);
        bytes
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exporter(_) => "Exporter",
            Self::Front => "Front",
        })
    }
}

/// What a link is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A client's new session.
    New,
    /// A client's session after a cut.
    Resume,
    /// A trunk between two nodes.
    Node,
}

/// The name of a session: random, never written to disk, never used at two entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// A new one.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Whom a link is opened to, and what it takes: from an invitation or a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryKey {
    /// The network's id.
    pub network: [u8; 32],
    /// The node.
    pub node: Address,
    /// Its X25519 key for links.
    pub link_key: [u8; 32],
    /// The gate: a pre-shared key of exactly 32 bytes.
    pub gate: Secret,
}

/// What a client or a node asks for.
#[derive(Debug)]
pub struct OpenerAsk<'a> {
    /// A new link, an old session, a trunk.
    pub purpose: Purpose<'a>,
    /// Random for a new link, the same again for an old session.
    pub session: SessionId,
    /// What the clock says; sent with [`Binding::Front`] only.
    pub time: UnixTime,
    /// A bearer token, where an entry wants one.
    pub token: Option<&'a Secret>,
}

/// See [`LinkKind`].
#[derive(Debug)]
pub enum Purpose<'a> {
    /// A client's new session.
    New,
    /// A client's session after a cut.
    Resume {
        /// From the session's latest accepted opener.
        key: &'a ResumeKey,
        /// Sequenced bytes received in it.
        received: u64,
    },
    /// A trunk.
    Node,
}

/// The entry's link key is no key: nothing can be sealed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link key of the entry is not usable")]
pub struct UnusableKey;

/// The opener is refused. There is no reason in it, because nobody is told one: the site answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the opener is refused")]
pub struct Refused;

/// Seals an opener: the value of the cookie, [`OPENER_TEXT`] characters, and the secrets of the link that it asks for.
///
/// # Errors
/// When the entry's link key is not usable.
pub fn seal_opener(
    to: &EntryKey,
    binding: &Binding,
    ask: &OpenerAsk<'_>,
    mut rng: &mut dyn CryptoRng,
) -> Result<(String, LinkSecrets), UnusableKey> {
    type Lh = X25519HkdfSha256;
    let bind = binding.bytes();
    let link_key = <Lh as Kem>::PublicKey::from_bytes(&to.link_key).map_err(|_length| UnusableKey)?;
    let mode = OpModeS::Psk(psk(&to.gate));
    let info = info(&to.network, to.node);
    let (enc, mut context) = hpke::setup_sender_with_rng::<Aead, Kdf, Lh>(&mode, &link_key, &info, &mut rng)
        .map_err(|_no_key| UnusableKey)?;
    let enc: [u8; ENC] = enc.to_bytes().into();
    let plain = Plain::of(ask, binding, &bind, &enc).encode();
    let sealed = context.seal(&plain[..], &bind).map_err(|_too_many| UnusableKey)?;
    let gate = gate_mac(&mac(&to.gate, &gate_parts(&bind, &enc)));
    let text = URL_SAFE_NO_PAD.encode([&enc[..], &gate[..], &sealed[..]].concat());
    Ok((text, LinkSecrets::exported(&context, bind, ask.purpose.kind())))
}

impl Purpose<'_> {
    const fn kind(&self) -> LinkKind {
        match self {
            Self::New => LinkKind::New,
            Self::Resume { .. } => LinkKind::Resume,
            Self::Node => LinkKind::Node,
        }
    }
}

/// The X25519 key pair of a node for links, at most 90 days old (30 behind a front).
#[derive(Clone)]
pub struct LinkKeyPair {
    secret: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: [u8; 32],
}

impl LinkKeyPair {
    /// The pair of a secret as it is stored.
    ///
    /// # Errors
    /// Never for 32 bytes; the library could say so.
    pub fn from_secret(secret: &Secret) -> Result<Self, UnusableKey> {
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret.bytes())
            .map_err(|_length| UnusableKey)?;
        let public = X25519HkdfSha256::sk_to_pk(&secret).to_bytes().into();
        Ok(Self { secret, public })
    }

    /// What descriptors and invitations tell.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Opens what was sealed to this key, and the secrets of its link.
    fn open(
        &self,
        here: (&[u8; 32], Address),
        gate: &Secret,
        binding: &Binding,
        opener: &[u8; OPENER],
    ) -> Result<(Asked, LinkSecrets), Refused> {
        type Lh = X25519HkdfSha256;
        let (enc, rest) = opener.split_first_chunk::<ENC>().ok_or(Refused)?;
        let (_gate, sealed) = rest.split_first_chunk::<GATE>().ok_or(Refused)?;
        let bind = binding.bytes();
        let encapped = <Lh as Kem>::EncappedKey::from_bytes(enc).map_err(|_length| Refused)?;
        let (mode, info) = (OpModeR::Psk(psk(gate)), info(here.0, here.1));
        let mut context = setup_receiver::<Aead, Kdf, Lh>(&mode, &self.secret, &encapped, &info)
            .map_err(|_no_key| Refused)?;
        let plain = Zeroizing::new(context.open(sealed, &bind).map_err(|_sealed| Refused)?);
        let asked = Asked::decode(&plain, binding, &bind, enc).map_err(|_malformed| Refused)?;
        let secrets = LinkSecrets::exported(&context, bind, asked.kind());
        Ok((asked, secrets))
    }
}

impl fmt::Debug for LinkKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKeyPair(..)")
    }
}

fn psk(gate: &Secret) -> PskBundle<'_> {
    #[expect(clippy::expect_used, reason = "key and name are both there, which is all that is checked")]
    PskBundle::new(gate.bytes(), PSK_ID).expect("a key and its name")
}

fn info(network: &[u8; 32], node: Address) -> Vec<u8> {
    [b"ovl1 link\0", &network[..], &node.0[..]].concat()
}

const fn gate_parts<'a>(bind: &'a [u8; 33], enc: &'a [u8; ENC]) -> [&'a [u8]; 3] {
    [b"ovl1 gate\0", bind, enc]
}

/// The first 16 bytes of a MAC.
const fn gate_mac(mac: &[u8; 32]) -> [u8; GATE] {
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *mac;
    first
}

#[cfg(test)]
mod tests;
