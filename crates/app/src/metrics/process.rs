//! What the system knows about this process, by the names that Prometheus clients use everywhere.
//!
//! What /proc does not tell is left out.

use super::{Kind, Page};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::fs;

pub(super) fn render(page: &mut Page, started_s: u64) {
    page.one("process_start_time_seconds", Kind::Gauge, "When the process started.", &[], started_s);
    if let Some(bytes) = resident_bytes() {
        page.one("process_resident_memory_bytes", Kind::Gauge, "Memory in use.", &[], bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", Kind::Gauge, "Open file descriptors.", &[], entries.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.one("process_max_fds", Kind::Gauge, "Most file descriptors there may be.", &[], most);
    }
    if let Some(ticks) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_ticks(&stat)) {
        let seconds = ticks as f64 / clock_ticks_per_second() as f64;
        page.one(
            "process_cpu_seconds_total",
            Kind::Counter,
            "CPU time used.",
            &[],
            format_args!("{seconds:.2}"),
        );
    }
}

/// Memory in use.
pub(crate) fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(page_size() as u64)
}

/// User and system time: fields 14 and 15 of proc_pid_stat(5), counted behind the name in brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_shift_its_numbers() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 11 22 5 6 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(33));
        assert_eq!(cpu_ticks("nonsense"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
