//! A link between two neighbours (sections 5, 8, 9).
