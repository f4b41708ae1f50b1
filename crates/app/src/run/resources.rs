//! What the system lets this process have: open files and memory.
//!
//! Not here: enforcing any of it (`net/admission`, `net/fleet`).

use crate::config::settings::Memory;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// Descriptors for all that is no connection: listeners, log, pipes for splice, admin, name servers.
const RESERVED: u64 = 64;
/// Assumed where the system does not say how much memory there is.
const SOME_MEMORY: u64 = 1 << 30;

/// Raises the limit of open files to the hard limit and gives the most connections of clients that fit: each may need
/// two descriptors, its own and one towards its upstream, and [`RESERVED`] are kept for the rest. At least 16.
#[must_use]
pub fn raise_open_files() -> usize {
    let old = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: old.maximum, maximum: old.maximum };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) => usize::try_from(limit.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(16),
        None => usize::MAX,
    }
}

/// Bytes that buffers may take: a share of the control group's limit or of the machine, whichever is less.
#[must_use]
pub fn memory(setting: Memory) -> u64 {
    match setting {
        Memory::Size(size) => size.0,
        Memory::Share(percent) => available() / 100 * u64::from(percent),
    }
}

fn available() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text));
    [machine, group].into_iter().flatten().min().unwrap_or(SOME_MEMORY)
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The least `memory.max` from the own control group (version 2) up to its root.
fn group_limit(cgroup: &str) -> Option<u64> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(own);
    let groups = own.ancestors().take_while(|dir| dir.starts_with(root));
    let limit = |dir: &Path| std::fs::read_to_string(dir.join("memory.max")).ok()?.trim().parse().ok();
    groups.filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_types::ByteCount;

    #[test]
    fn memory_is_a_share_of_what_there_is() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(total("nothing"), None);
        assert_eq!(memory(Memory::Size(ByteCount(5))), 5);
        assert!(memory(Memory::Share(50)) > 0);
        assert!(memory(Memory::Share(90)) > memory(Memory::Share(10)));
    }

    #[test]
    fn connections_fit_into_the_open_files() {
        let connections = raise_open_files() as u64;
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(limit.current.is_none_or(|limit| connections * 2 <= limit), "{connections}");
    }
}
