//! The overlay at run time.
