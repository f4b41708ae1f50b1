//! The key encapsulation of suite CH: X-Wing, which is ML-KEM-768 and X25519 together (draft-connolly-cfrg-xwing-kem).
//!
//! Both parts are those of aws-lc, and a private key stays expanded in memory: at a relay this is a third of the time
//! of an implementation that derives the key from its seed at each use. The type stands behind `hpke`'s trait, whose
//! hidden items are the reason why that crate's version is pinned. Chance comes from aws-lc's own generator, since it
//! takes none from outside. Deviation from older drafts: an X25519 result of zero, which no honest peer produces, is
//! refused.
//!
//! Not here: HPKE around it (`create`), when keys are made and erased (`overlay`).

use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::kem::{self as lattice, ML_KEM_768};
use hpke::hybrid_array::sizes::{U32, U1120, U1216, U2432};
use hpke::kem::SharedSecret;
use hpke::{Deserializable, HpkeError, Kem, Serializable};
use ml_kem::FromSeed;
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::kdf::Secret;

/// Bytes of a public key: ML-KEM-768 encapsulation key, then X25519 public key.
pub const PUBLIC: usize = 1216;
/// Bytes of an encapsulation: ML-KEM-768 ciphertext, then X25519 public key.
pub const ENCAPSULATION: usize = 1120;

const LATTICE_PUBLIC: usize = 1184;
const LATTICE_SECRET: usize = 2400;
const LATTICE_CIPHERTEXT: usize = 1088;
const LABEL: &[u8; 6] = br"\.//^\";

/// X-Wing, as the KEM of an HPKE suite.
#[derive(Debug, Clone, Copy)]
pub struct XWing;

/// A public key. Whether the lattice half is one is found when it is used: an encapsulation to a wrong one fails.
#[derive(Clone, PartialEq, Eq)]
pub struct XWingPublic(Arc<[u8; PUBLIC]>);

/// A private key, expanded. Clones share it; the last one erases it.
#[derive(Clone)]
pub struct XWingSecret(Arc<Expanded>);

struct Expanded {
    lattice: lattice::DecapsulationKey,
    curve: agreement::PrivateKey,
    public: XWingPublic,
}

/// The key could not be made or used: it is no key, or the machine has no memory left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a usable X-Wing key")]
pub struct BadKey;

impl XWingPublic {
    /// The bytes as they stand in descriptors and CREATE.
    #[must_use]
    pub fn bytes(&self) -> &[u8; PUBLIC] {
        &self.0
    }

    fn split(&self) -> Result<(&[u8; LATTICE_PUBLIC], &[u8; 32]), BadKey> {
        halves(&self.0[..])
    }
}

impl From<&[u8; PUBLIC]> for XWingPublic {
    fn from(bytes: &[u8; PUBLIC]) -> Self {
        Self(Arc::new(*bytes))
    }
}

impl fmt::Debug for XWingPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingPublic(..)")
    }
}

impl XWingSecret {
    /// The key that belongs to a seed, as the draft expands it (section 5.2). This is the form in which keys are
    /// stored; do it once a key, it costs as much as a decapsulation.
    ///
    /// # Errors
    /// Only when memory is short: every seed gives a key.
    pub fn from_seed(seed: &Secret) -> Result<Self, BadKey> {
        let mut reader = Shake256::default().chain(seed.bytes()).finalize_xof();
        let mut lattice_seed = Zeroizing::new([0; 64]);
        let mut curve = Zeroizing::new([0; 32]);
        reader.read(&mut lattice_seed[..]);
        reader.read(&mut curve[..]);
        let lattice = expand_lattice(&lattice_seed);
        Self::assemble(&lattice[..], &curve[..])
    }

    /// A fresh key that is never stored, from aws-lc's generator. It has no seed.
    ///
    /// # Errors
    /// Only when memory is short.
    pub fn generate() -> Result<Self, BadKey> {
        let lattice = lattice::DecapsulationKey::generate(&ML_KEM_768).map_err(|_unspecified| BadKey)?;
        let curve = agreement::PrivateKey::generate(&X25519).map_err(|_unspecified| BadKey)?;
        let lattice_public =
            lattice.encapsulation_key().and_then(|key| key.key_bytes()).map_err(|_unspecified| BadKey)?;
        Self::join(lattice_public.as_ref(), lattice, curve)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> &XWingPublic {
        &self.0.public
    }

    fn assemble(lattice: &[u8], curve: &[u8]) -> Result<Self, BadKey> {
        // FIPS 203 section 7.1: the expanded key holds the public one behind the secret vector.
        let public = lattice.get(1152..1152 + LATTICE_PUBLIC).ok_or(BadKey)?;
        let key = lattice::DecapsulationKey::new(&ML_KEM_768, lattice).map_err(|_rejected| BadKey)?;
        let curve = agreement::PrivateKey::from_private_key(&X25519, curve).map_err(|_rejected| BadKey)?;
        Self::join(public, key, curve)
    }

    fn join(
        lattice_public: &[u8],
        lattice: lattice::DecapsulationKey,
        curve: agreement::PrivateKey,
    ) -> Result<Self, BadKey> {
        let curve_public = curve.compute_public_key().map_err(|_unspecified| BadKey)?;
        let public = joined::<PUBLIC>(lattice_public, curve_public.as_ref())?;
        Ok(Self(Arc::new(Expanded { lattice, curve, public: XWingPublic(Arc::new(public)) })))
    }

    fn decapsulate(&self, enc: &[u8; ENCAPSULATION]) -> Result<Shared, BadKey> {
        let (ciphertext, their_curve) = halves::<LATTICE_CIPHERTEXT>(enc)?;
        let (_lattice, my_curve) = self.0.public.split()?;
        let lattice =
            self.0.lattice.decapsulate(ciphertext.as_slice().into()).map_err(|_unspecified| BadKey)?;
        agree(&self.0.curve, their_curve, |curve| combine(lattice.as_ref(), curve, their_curve, my_curve))
    }
}

impl fmt::Debug for XWingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingSecret(..)")
    }
}

/// What encapsulation and decapsulation agree on.
type Shared = Zeroizing<[u8; 32]>;

/// The expanded form of FIPS 203, the only one that aws-lc takes.
#[expect(deprecated, reason = "the seed form, which replaces it, is not what aws-lc reads")]
fn expand_lattice(seed: &[u8; 64]) -> Zeroizing<[u8; LATTICE_SECRET]> {
    use ml_kem::ExpandedKeyEncoding;
    let seed = Zeroizing::new(ml_kem::Seed::from(*seed));
    let (key, _public) = ml_kem::MlKem768::from_seed(&seed);
    Zeroizing::new(key.to_expanded_bytes().into())
}

fn encapsulate(to: &XWingPublic) -> Result<(Shared, [u8; ENCAPSULATION]), BadKey> {
    let (lattice_public, their_curve) = to.split()?;
    let (ciphertext, lattice) = lattice::EncapsulationKey::new(&ML_KEM_768, lattice_public)
        .map_err(|_rejected| BadKey)?
        .encapsulate()
        .map_err(|_unspecified| BadKey)?;
    let mine = agreement::PrivateKey::generate(&X25519).map_err(|_unspecified| BadKey)?;
    let my_curve = mine.compute_public_key().map_err(|_unspecified| BadKey)?;
    let enc = joined(ciphertext.as_ref(), my_curve.as_ref())?;
    let shared =
        agree(&mine, their_curve, |curve| combine(lattice.as_ref(), curve, my_curve.as_ref(), their_curve))?;
    Ok((shared, enc))
}

fn agree(
    mine: &agreement::PrivateKey,
    theirs: &[u8; 32],
    combine: impl FnOnce(&[u8]) -> Shared,
) -> Result<Shared, BadKey> {
    agreement::agree(mine, UnparsedPublicKey::new(&X25519, theirs), BadKey, |shared| Ok(combine(shared)))
}

/// The combiner of the draft (section 5.3).
fn combine(lattice: &[u8], curve: &[u8], enc_curve: &[u8], public_curve: &[u8]) -> Shared {
    let mut hash = Sha3_256::new();
    for part in [lattice, curve, enc_curve, public_curve, LABEL] {
        Digest::update(&mut hash, part);
    }
    Zeroizing::new(hash.finalize().into())
}

fn halves<const LATTICE: usize>(bytes: &[u8]) -> Result<(&[u8; LATTICE], &[u8; 32]), BadKey> {
    let (lattice, curve) = bytes.split_first_chunk::<LATTICE>().ok_or(BadKey)?;
    Ok((lattice, curve.try_into().map_err(|_length| BadKey)?))
}

fn joined<const N: usize>(lattice: &[u8], curve: &[u8]) -> Result<[u8; N], BadKey> {
    let mut bytes = [0; N];
    let (to_lattice, to_curve) = bytes.split_at_mut_checked(lattice.len()).ok_or(BadKey)?;
    to_lattice.copy_from_slice(lattice);
    if to_curve.len() != curve.len() {
        return Err(BadKey);
    }
    to_curve.copy_from_slice(curve);
    Ok(bytes)
}

/// An encapsulation, as HPKE calls it.
#[derive(Clone)]
pub struct Enc(Box<[u8; ENCAPSULATION]>);

impl Serializable for Enc {
    type OutputSize = U1120;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0[..]);
    }
}

impl Deserializable for Enc {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let wrong = HpkeError::IncorrectInputLength(ENCAPSULATION, bytes.len());
        Ok(Self(Box::new(bytes.try_into().map_err(|_length| wrong)?)))
    }
}

impl Serializable for XWingPublic {
    type OutputSize = U1216;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0[..]);
    }
}

impl Deserializable for XWingPublic {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let wrong = HpkeError::IncorrectInputLength(PUBLIC, bytes.len());
        Ok(Self(Arc::new(bytes.try_into().map_err(|_length| wrong)?)))
    }
}

/// The expanded form, because a key made by [`XWingSecret::generate`] has no seed. HPKE never writes it; it is here
/// because the trait wants a form.
impl Serializable for XWingSecret {
    type OutputSize = U2432;

    fn write_exact(&self, buf: &mut [u8]) {
        let lattice = self.0.lattice.key_bytes();
        let curve: Result<Curve25519SeedBin<'_>, _> = self.0.curve.as_be_bytes();
        #[expect(clippy::expect_used, reason = "aws-lc gives back the keys it holds")]
        let (lattice, curve) = lattice.and_then(|lattice| Ok((lattice, curve?))).expect("keys held");
        let parts = lattice.as_ref().iter().chain(curve.as_ref());
        buf.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    }
}

impl Deserializable for XWingSecret {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let wrong = HpkeError::IncorrectInputLength(LATTICE_SECRET + 32, bytes.len());
        let (lattice, curve) = halves::<LATTICE_SECRET>(bytes).map_err(|BadKey| wrong)?;
        Self::assemble(lattice, curve).map_err(|BadKey| HpkeError::ValidationError)
    }
}

impl ConstantTimeEq for XWingSecret {
    fn ct_eq(&self, other: &Self) -> Choice {
        let (one, other) = (Zeroizing::new(self.to_bytes()), Zeroizing::new(other.to_bytes()));
        one.as_slice().ct_eq(other.as_slice())
    }
}

impl Kem for XWing {
    type PublicKey = XWingPublic;
    type PrivateKey = XWingSecret;
    type EncappedKey = Enc;
    type NSecret = U32;

    const KEM_ID: u16 = 0x647a;

    fn sk_to_pk(sk: &XWingSecret) -> XWingPublic {
        sk.public().clone()
    }

    /// As `hpke`'s own X-Wing does it. Never used on the wire: its definition differs between drafts.
    fn derive_keypair(ikm: &[u8]) -> (XWingSecret, XWingPublic) {
        let (seed, _public) = hpke::kem::XWing::derive_keypair(ikm);
        let seed = Secret::from(<[u8; 32]>::from(seed.to_bytes()));
        #[expect(clippy::expect_used, reason = "every seed gives a key")]
        let secret = XWingSecret::from_seed(&seed).expect("a key from a seed");
        let public = secret.public().clone();
        (secret, public)
    }

    fn decap(
        secret: &XWingSecret,
        sender: Option<&XWingPublic>,
        enc: &Enc,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        // X-Wing has no authenticated form.
        if sender.is_some() {
            return Err(HpkeError::DecapError);
        }
        let shared = secret.decapsulate(&enc.0).map_err(|BadKey| HpkeError::DecapError)?;
        Ok(SharedSecret((*shared).into()))
    }

    fn encap_with_rng(
        to: &XWingPublic,
        sender: Option<(&XWingSecret, &XWingPublic)>,
        _rng: &mut impl rand_core::CryptoRng,
    ) -> Result<(SharedSecret<Self>, Enc), HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (shared, enc) = encapsulate(to).map_err(|BadKey| HpkeError::EncapError)?;
        Ok((SharedSecret((*shared).into()), Enc(Box::new(enc))))
    }
}

#[cfg(test)]
mod tests;
