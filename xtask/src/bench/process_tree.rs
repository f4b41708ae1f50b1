//! A process with all its descendants, as `/proc` shows them: CPU time, memory, and its end.
//!
//! Counted per process are its own threads, ended ones too, and the children it has waited for, so that neither
//! a thread nor a process per connection goes uncounted. Resolution is 10 ms; rounds burn seconds.

use std::collections::HashSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// CPU time in hundredths of a second, the unit of `/proc` (USER_HZ is 100 on every Linux of today).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// In the program.
    pub(super) user: u64,
    /// In the kernel on its behalf.
    pub(super) kernel: u64,
}

impl Cpu {
    /// What was burnt since `before`, in seconds: user, kernel.
    pub(super) fn since(self, before: Self) -> (f64, f64) {
        let seconds = |now: u64, then: u64| now.saturating_sub(then) as f64 / 100.0;
        (seconds(self.user, before.user), seconds(self.kernel, before.kernel))
    }
}

/// One process as its `stat` line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    cpu: Cpu,
}

/// CPU time of `root` and all below it.
pub(super) fn cpu(root: u32) -> Cpu {
    members(root).iter().fold(Cpu::default(), |sum, process| Cpu {
        user: sum.user + process.cpu.user,
        kernel: sum.kernel + process.cpu.kernel,
    })
}

/// CPU time of `root` and all below it in seconds, to the microsecond; threads that have ended are not counted.
pub(super) fn cpu_precisely(root: u32) -> f64 {
    let of = |process: &Process| -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", process.pid)).into_iter().flatten().flatten();
        tasks.filter_map(|task| nanoseconds(&fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
    };
    members(root).iter().map(of).sum::<u64>() as f64 / 1e9
}

/// Time on the processor in a `schedstat` line (sched-stats of the kernel's documentation).
fn nanoseconds(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Resident memory of one process in KiB.
pub(super) fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Proportional memory of `root` and all below it in KiB: shared pages count once in sum.
pub(super) fn memory_kib(root: u32) -> u64 {
    let of = |process: &Process| {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or(0)
    };
    members(root).iter().map(of).sum()
}

/// The numbers of `root` and all below it.
pub(super) fn pids(root: u32) -> Vec<i32> {
    members(root).iter().map(|process| process.pid).collect()
}

/// Ends `root` and all below it: asks, waits up to 2 s, then insists.
pub(super) fn end(root: u32) {
    let members = pids(root);
    signal(&members, Signal::TERM);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until && members.iter().any(|pid| is_running(*pid)) {
        sleep(Duration::from_millis(20));
    }
    let left: Vec<i32> = members.into_iter().filter(|pid| is_running(*pid)).chain(pids(root)).collect();
    signal(&left, Signal::KILL);
}

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // One that has just ended needs no signal.
        kill_process(pid, signal).ok();
    }
}

/// Whether a process is there and has not ended; one that nobody has waited for yet has ended.
pub(super) fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}

fn members(root: u32) -> Vec<Process> {
    let all: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect();
    let Ok(root) = i32::try_from(root) else { return Vec::new() };
    let mut tree = HashSet::from([root]);
    loop {
        let before = tree.len();
        tree.extend(
            all.iter()
                .filter(|process| tree.contains(&process.parent))
                .map(|process| process.pid)
                .collect::<Vec<_>>(),
        );
        if tree.len() == before {
            break;
        }
    }
    all.into_iter().filter(|process| tree.contains(&process.pid)).collect()
}

/// Reads a `stat` line (proc(5)); the name in parentheses may itself hold spaces and parentheses.
fn parse(stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let pid = head.split_whitespace().next()?.parse().ok()?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let parent = fields.get(1)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        cpu: Cpu { user: number(11)? + number(13)?, kernel: number(12)? + number(14)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_an_ugly_name_is_read() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7";
        let process = parse(line).expect("a stat line");
        assert_eq!(process, Process { pid: 42, parent: 7, cpu: Cpu { user: 103, kernel: 24 } });
        assert_eq!(parse("garbage"), None);
        assert_eq!(nanoseconds("96123 2368241 2\n"), Some(96_123));
    }

    #[test]
    fn a_tree_holds_its_root_and_its_children_and_ends_with_them() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "cat /dev/zero >/dev/null & wait"])
            .spawn()
            .expect("sh");
        let until = Instant::now() + Duration::from_secs(10);
        while pids(child.id()).len() < 2 && Instant::now() < until {
            std::thread::yield_now();
        }
        let members = pids(child.id());
        assert_eq!(members.len(), 2, "sh and cat");
        assert!(memory_kib(child.id()) > 0 && resident_kib(child.id()).is_some_and(|kib| kib > 0));
        assert!(cpu_precisely(child.id()) > 0.0);
        end(child.id());
        child.wait().expect("ended");
        assert!(members.into_iter().all(|pid| !is_running(pid)));
    }
}
