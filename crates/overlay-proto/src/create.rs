//! How a circuit is made (section 6).
