//! What was seen before (sections 4, 6.1).
