//! The one thing a wallet signs: a delegation to a node key, as EIP-712 says (overlay section 2.1).
//!
//! There is no function here that signs a digest, a message or a transaction, and none may be added. Not here: what a
//! delegation says and how it is checked (`overlay-proto`).

use crate::keys::WalletKey;
use shoalway_overlay_proto::identity::{Delegation, DelegationError, DelegationTerms};

/// Why terms are not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// They are for the node of another wallet.
    #[error("the delegation is for another wallet")]
    OtherWallet,
    /// Nobody would take them.
    #[error("{0}")]
    Terms(DelegationError),
}

impl WalletKey {
    /// Signs terms for one network: `r || s || v`, s in the lower half, v 27 or 28. The same terms always get the same
    /// signature (RFC 6979), so signing needs no chance.
    ///
    /// # Errors
    /// [`SignError`] when the terms name another wallet or nobody would take them.
    pub fn delegate(&self, network: &[u8; 32], terms: DelegationTerms) -> Result<Delegation, SignError> {
        if terms.node != self.address() {
            return Err(SignError::OtherWallet);
        }
        terms.check_shape().map_err(SignError::Terms)?;
        let (halves, recovery) = self.0.sign_prehash_recoverable(&terms.digest(network));
        let mut signature = [0; 65];
        let v = 27 + u8::from(recovery.is_y_odd());
        for (byte, from) in signature.iter_mut().zip(halves.to_bytes().into_iter().chain([v])) {
            *byte = from;
        }
        Ok(Delegation { terms, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::to_hex;
    use crate::keys::tests::{JUNK, key};
    use proptest::prelude::*;
    use shoalway_overlay_proto::UnixTime;
    use shoalway_overlay_proto::identity::{DELEGATION_MOST_SECONDS, Roles};

    const NETWORK: [u8; 32] = [0x11; 32];

    fn terms(wallet: &WalletKey, serial: u64) -> DelegationTerms {
        DelegationTerms {
            node: wallet.address(),
            node_key: [0x22; 32],
            roles: Roles::ENTRY | Roles::EXIT,
            not_before: UnixTime(1_800_000_000),
            not_after: UnixTime(1_800_000_000 + DELEGATION_MOST_SECONDS),
            serial,
        }
    }

    #[test]
    fn a_delegation_holds_for_its_wallet_network_and_time_alone() {
        let wallet = key(JUNK, "", 0);
        let signed = wallet.delegate(&NETWORK, terms(&wallet, 1)).unwrap();
        assert!(signed.check(&NETWORK, UnixTime(1_800_000_001)).is_ok());
        assert_eq!(signed.check(&[0x12; 32], UnixTime(1_800_000_001)), Err(DelegationError::Signer));
        assert_eq!(signed.check(&NETWORK, UnixTime(1_900_000_000)), Err(DelegationError::Expired));
        assert_eq!(signed, wallet.delegate(&NETWORK, terms(&wallet, 1)).unwrap());
        let withdrawn = wallet.delegate(&NETWORK, DelegationTerms::withdrawal(wallet.address(), 2)).unwrap();
        assert!(withdrawn.check(&NETWORK, UnixTime(1_900_000_000)).is_ok());
    }

    #[test]
    fn terms_that_nobody_would_take_are_not_signed() {
        let (wallet, other) = (key(JUNK, "", 0), key(JUNK, "", 1));
        let long = DelegationTerms { not_after: UnixTime(1_900_000_000), ..terms(&wallet, 1) };
        let half = DelegationTerms { roles: Roles::NONE, ..terms(&wallet, 1) };
        for (terms, error) in [
            (terms(&other, 1), SignError::OtherWallet),
            (long, SignError::Terms(DelegationError::TooLong)),
            (half, SignError::Terms(DelegationError::Half)),
        ] {
            assert_eq!(wallet.delegate(&NETWORK, terms), Err(error));
        }
    }

    proptest! {
        #[test]
        fn every_signature_is_low_and_recoverable(serial in any::<u64>(), index in 0..4u32) {
            let wallet = key(JUNK, "", index);
            let signed = wallet.delegate(&NETWORK, terms(&wallet, serial)).unwrap();
            prop_assert!(matches!(signed.signature[64], 27 | 28));
            // Half the order of the curve.
            let half = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
            prop_assert!(to_hex(&signed.signature[32..64]).as_str() <= half);
            prop_assert!(signed.verify(&NETWORK).is_ok());
        }
    }
}
