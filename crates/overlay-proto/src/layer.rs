//! The layer of a relay in paths of three hops (section 6.3).
