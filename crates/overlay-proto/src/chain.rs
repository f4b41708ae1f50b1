//! Which snapshot is accepted after which (section 3.2).
