//! The network file (section 3.1).
