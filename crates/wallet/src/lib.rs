//! What the owner of a node keeps offline.
