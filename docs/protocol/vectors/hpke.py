"""HPKE (RFC 9180) with HKDF-SHA256 and ChaCha20-Poly1305, for the second reader of the vectors: suite LH over X25519,
suite CH over X-Wing. Modes base and psk, one message a context.
"""

import hashlib
import hmac

from Crypto.Cipher import ChaCha20_Poly1305
from hybrid import x25519

LH, CH = 0x0020, 0x647A


def extract(salt, key):
    return hmac.digest(salt, key, hashlib.sha256)


def expand(key, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), hashlib.sha256)
        out, counter = out + block, counter + 1
    return out[:length]


def labeled_extract(suite, salt, label, key):
    return extract(salt or bytes(32), b"HPKE-v1" + suite + label + key)


def labeled_expand(suite, key, label, info, length):
    return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def kem_suite(kem):
    return b"KEM" + kem.to_bytes(2, "big")


# --- DHKEM(X25519, HKDF-SHA256): sections 4.1 and 7.1.3 ---


def derive_x25519(randomness):
    prk = labeled_extract(kem_suite(LH), b"", b"dkp_prk", randomness)
    return labeled_expand(kem_suite(LH), prk, b"sk", b"", 32)


def dhkem_shared(secret, their_public, enc, public):
    prk = labeled_extract(kem_suite(LH), b"", b"eae_prk", x25519(secret, their_public))
    return labeled_expand(kem_suite(LH), prk, b"shared_secret", enc + public, 32)


# --- contexts: section 5.1 ---


class Context:
    """What sender and receiver share once the KEM has been used."""

    def __init__(self, kem, shared, info, psk=b"", psk_id=b""):
        assert bool(psk) == bool(psk_id) and len(psk) in (0, 32)
        self.suite = b"HPKE" + kem.to_bytes(2, "big") + b"\x00\x01\x00\x03"
        psk_id_hash = labeled_extract(self.suite, b"", b"psk_id_hash", psk_id)
        info_hash = labeled_extract(self.suite, b"", b"info_hash", info)
        schedule = bytes([1 if psk else 0]) + psk_id_hash + info_hash
        secret = labeled_extract(self.suite, shared, b"secret", psk)
        self.key = labeled_expand(self.suite, secret, b"key", schedule, 32)
        self.nonce = labeled_expand(self.suite, secret, b"base_nonce", schedule, 12)
        self.exporter = labeled_expand(self.suite, secret, b"exp", schedule, 32)

    def open(self, sealed, aad=b""):
        """The plaintext; ValueError when it was not sealed like this."""
        cipher = ChaCha20_Poly1305.new(key=self.key, nonce=self.nonce)
        cipher.update(aad)
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])

    def seal(self, plain, aad=b""):
        cipher = ChaCha20_Poly1305.new(key=self.key, nonce=self.nonce)
        cipher.update(aad)
        return b"".join(cipher.encrypt_and_digest(plain))

    def export(self, label):
        return labeled_expand(self.suite, self.exporter, b"sec", label, 32)
