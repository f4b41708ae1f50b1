//! Hashes, key derivation and comparison (section 1).
