//! Keys against the vectors of BIP-32 and addresses that other wallets show for known words.

use super::*;
use crate::hex::from_hex;
use bip32::Prefix;
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// A generator that gives these bytes over and over.
pub(crate) struct Bytes(Vec<u8>, usize);

impl Bytes {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec(), 0)
    }
}

impl TryRng for Bytes {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for byte in into {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Bytes {}

/// The words every development chain of Ethereum starts with.
pub(crate) const JUNK: &str = "test test test test test test test test test test test junk";

pub(crate) fn key(text: &str, passphrase: &str, index: u32) -> WalletKey {
    WalletKey::from_words(&Words::restore(text).unwrap(), passphrase, index).unwrap()
}

#[test]
fn the_vectors_of_bip_32_come_out() {
    let one = from_hex::<16>("000102030405060708090a0b0c0d0e0f").unwrap().to_vec();
    let two = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";
    let two = from_hex::<64>(two).unwrap().to_vec();
    for (seed, path, expected) in [
        (
            &one,
            &[][..],
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        ),
        (
            &one,
            &[(0, true), (1, false), (2, true)],
            "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM",
        ),
        (
            &one,
            &[(0, true), (1, false), (2, true), (2, false), (1_000_000_000, false)],
            "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76",
        ),
        (
            &two,
            &[],
            "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpSBHNqPqm55Qn3LqFtT2emdEXVYsCzC2U",
        ),
        (
            &two,
            &[(0, false), (2_147_483_647, true)],
            "xprv9wSp6B7kry3Vj9m1zSnLvN3xH8RdsPP1Mh7fAaR7aRLcQMKTR2vidYEeEg2mUCTAwCd6vnxVrcjfy2kRgVsFawNzmjuHc2YmYRmagcEPdU9",
        ),
        (
            &two,
            &[(0, false), (2_147_483_647, true), (1, false), (2_147_483_646, true), (2, false)],
            "xprvA2nrNbFZABcdryreWet9Ea4LvTJcGsqrMzxHx98MMrotbir7yrKCEXw7nadnHM8Dq38EGfSh6dqA9QWTyefMLEcBYJUuekgW4BYPJcr9E7j",
        ),
    ] {
        let node = derive(seed, path.iter().copied()).unwrap();
        assert_eq!(*node.to_string(Prefix::XPRV), *expected, "{path:?}");
    }
}

#[test]
fn the_addresses_are_those_of_other_wallets() {
    let abandon = format!("{}about", "abandon ".repeat(11));
    for (text, index, expected) in [
        (JUNK, 0, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        (JUNK, 1, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        (JUNK, 2, "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        (JUNK, 9, "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
        (&*abandon, 0, "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"),
    ] {
        assert_eq!(key(text, "", index).address().to_string(), expected, "index {index}");
    }
    assert_ne!(key(JUNK, "", 0).address(), key(JUNK, "x", 0).address());
}

#[test]
fn a_secret_outside_the_curve_is_refused() {
    let secret = from_hex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    let restored = WalletKey::from_secret(&secret).unwrap();
    assert_eq!(restored.address(), key(JUNK, "", 0).address());
    assert_eq!(restored.secret(), secret);
    let order = from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    for wrong in [&[0; 32], &*order, &[0xff; 32]] {
        assert_eq!(WalletKey::from_secret(wrong).err(), Some(KeyError::Range));
    }
    let words = Words::restore(JUNK).unwrap();
    assert_eq!(WalletKey::from_words(&words, "", 1 << 31).err(), Some(KeyError::Index(1 << 31)));
}
