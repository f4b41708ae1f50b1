//! The directory's snapshot (section 3.2).
