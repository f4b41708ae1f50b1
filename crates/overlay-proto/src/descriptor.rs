//! What a node offers at present (section 2.2).
