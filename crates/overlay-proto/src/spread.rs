//! Which exit serves what (section 11).
