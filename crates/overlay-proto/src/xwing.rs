//! The key encapsulation of suite CH.
