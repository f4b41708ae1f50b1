//! What the system says about the running program: descriptors and memory.

use super::Proxy;
use rustix::process::{Resource, Rlimit, prlimit};
use std::fs;

/// Lets this test have as many descriptors as the system allows at all.
pub fn raise_own_limit() {
    use rustix::process::{getrlimit, setrlimit};
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: old.maximum, ..old }).expect("raise the descriptor limit");
}

impl Proxy {
    /// Open file descriptors.
    #[must_use]
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("descriptors of the program").count()
    }

    /// Bytes of memory that are this process's alone. Pages of the program's file are not: whether they count as private
    /// depends on who else runs it at that moment.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.id());
        let text = fs::read_to_string(path).expect("memory of the program");
        let kib = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
        text.lines().filter(|line| line.starts_with("Anonymous:")).filter_map(kib).sum::<u64>() * 1_024
    }

    /// Lets the program have at most so many descriptors from now on; those above stay open.
    pub fn limit_open_files(&self, n: usize) {
        let n = u64::try_from(n).expect("a limit");
        let limit = Rlimit { current: Some(n), maximum: None };
        let old = prlimit(Some(self.pid()), Resource::Nofile, Rlimit { maximum: self.hard_limit(), ..limit });
        old.expect("set the descriptor limit");
    }

    fn hard_limit(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/limits", self.id())).expect("limits of the program");
        let line = text.lines().find(|line| line.starts_with("Max open files")).expect("its line");
        line.split_whitespace().nth(4).expect("the hard limit").parse().ok()
    }
}
