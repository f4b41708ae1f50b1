//! `Export(label, 32)` of an HPKE context (RFC 9180 section 5.3), on either side, held as a secret.
//!
//! Not here: setting contexts up (`opener`, `create`).

use hpke::aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305};
use hpke::kdf::HkdfSha256;
use hpke::{HpkeError, Kem};

use super::Secret;

/// The AEAD of both HPKE suites of ovl1.
pub(crate) type Aead = ChaCha20Poly1305;
/// The KDF of both HPKE suites of ovl1.
pub(crate) type Kdf = HkdfSha256;

/// A context that secrets are exported from.
pub(crate) trait Exporter {
    /// HPKE's `Export`.
    fn export_into(&self, label: &[u8], out: &mut [u8]) -> Result<(), HpkeError>;

    /// 32 bytes of it.
    fn exported(&self, label: &str) -> Secret {
        #[expect(clippy::expect_used, reason = "only lengths over 8,160 fail")]
        Secret::filled(|out| self.export_into(label.as_bytes(), out).expect("32 bytes"))
    }
}

impl<K: Kem> Exporter for AeadCtxS<Aead, Kdf, K> {
    fn export_into(&self, label: &[u8], out: &mut [u8]) -> Result<(), HpkeError> {
        self.export(label, out)
    }
}

impl<K: Kem> Exporter for AeadCtxR<Aead, Kdf, K> {
    fn export_into(&self, label: &[u8], out: &mut [u8]) -> Result<(), HpkeError> {
        self.export(label, out)
    }
}
