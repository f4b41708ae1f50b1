//! Wallets and node keys (section 2.1).
