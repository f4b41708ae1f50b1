//! Exit codes: sysexits(3) where one fits, so that service managers understand them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Ok,
    /// 1: it did not work.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 11: `why`: the request would be blocked.
    Blocked,
    /// 69: no proxy is running.
    Away,
    /// 75: not now, later perhaps.
    TryLater,
    /// 77: not permitted.
    NotPermitted,
    /// 78: the configuration has mistakes.
    BadConfig,
    /// 126: the program of `exec` may not be run, as shells answer.
    CannotRun,
    /// 127: the program of `exec` was not found, as shells answer.
    NotFound,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Blocked => 11,
            Self::Away => 69,
            Self::TryLater => 75,
            Self::NotPermitted => 77,
            Self::BadConfig => 78,
            Self::CannotRun => 126,
            Self::NotFound => 127,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
