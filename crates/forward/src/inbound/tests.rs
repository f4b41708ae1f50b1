//! Drivers as clients see them.
