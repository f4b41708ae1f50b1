//! Randomness for keys and choices: the system's.

use getrandom::SysRng;
use rand_core::UnwrapErr;

/// The system's generator. It stops the program where the system has none, since nothing could be kept secret then.
#[must_use]
pub const fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
