//! Which nodes make a path (section 11).
