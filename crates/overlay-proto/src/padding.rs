//! The seam for padding machines (section 10).
