//! The two ends of a circuit (sections 6.4, 7, 8).
