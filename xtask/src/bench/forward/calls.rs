//! System calls per unit of work, counted by the kernel's tracepoints (`perf stat`) while the load runs.
//!
//! Tracepoints and not strace: a traced process is slow, finds more connections ready at each wait, and so
//! makes fewer calls than it really does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::super::load::{self, Origin};
use super::super::options::Choice;
use super::super::peer::Peer;
use super::super::rounds::Unit;
use super::super::{machine, process_tree};
use super::case::{Case, Row};
use super::{Bench, load_command, start_peer};

/// Prints a table of calls for each chosen case of ours, or of the peers named on the command line.
///
/// # Errors
/// When perf is missing or may not count.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let Some(perf) = machine::find_program("perf") else {
        bail!("perf is missing: apt-get install --yes --no-install-recommends linux-perf")
    };
    let named = bench.options.named_peers();
    let wanted =
        |row: &Row| if named.is_empty() { row.peer == Peer::Shoalway } else { named.contains(&row.peer) };
    let countable = [Case::Get, Case::Connect, Case::Socks5, Case::Bulk];
    for case in bench.options.cases().into_iter().filter(|case| countable.contains(case)) {
        let origin = Origin::start(&bench.programs, &bench.cores)?;
        for row in case.rows().iter().filter(|row| wanted(row) && bench.peers.contains(&row.peer)) {
            match count(bench, case, row, &origin, &perf) {
                Ok(text) => println!("{text}"),
                Err(error) => eprintln!("{} {}: {error:#}", case.name(), row.peer.name()),
            }
        }
    }
    Ok(())
}

fn count(bench: &Bench, case: Case, row: &Row, origin: &Origin, perf: &Path) -> Result<String> {
    let running = start_peer(bench, row, origin)?;
    let amount = case.warm_up();
    let load = || load_command(&bench.programs, case, row, &running, origin, amount);
    load::run(load(), &bench.cores)?;
    let counts = running.site().dir.join("calls.csv");
    let pids =
        process_tree::pids(running.root()).iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let known = CALLS.iter().filter(|call| Path::new(TRACEPOINTS).join(format!("sys_enter_{call}")).is_dir());
    let events = known.map(|call| format!(",syscalls:sys_enter_{call}")).collect::<String>();
    let inner = load();
    let mut command = Command::new(perf);
    command
        .args(["stat", "-x,", "-e", &format!("raw_syscalls:sys_enter{events}"), "-p", &pids, "-o"])
        .arg(&counts);
    command.arg("--").arg(inner.get_program()).args(inner.get_args());
    let outcome = load::run(load::piped(command), &bench.cores)?;
    if outcome.failed > 0 {
        bail!("{} failed: {}", outcome.failed, outcome.error);
    }
    let text = fs::read_to_string(&counts).context("perf wrote no counts")?;
    let units = if case.unit() == Unit::Gib {
        outcome.bytes as f64 / (1_u64 << 20) as f64
    } else {
        outcome.done as f64
    };
    Ok(report(case, row, &parse(&text), units))
}

/// Where the kernel lists them: not every architecture has every call, and perf counts nothing when one is unknown.
const TRACEPOINTS: &str = "/sys/kernel/tracing/events/syscalls";

/// The calls that proxies make; what else they make is the rest of the sum.
const CALLS: [&str; 30] = [
    "recvfrom",
    "recvmsg",
    "read",
    "readv",
    "sendto",
    "sendmsg",
    "write",
    "writev",
    "splice",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "poll",
    "accept",
    "accept4",
    "socket",
    "connect",
    "bind",
    "close",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "getpeername",
    "fcntl",
    "ioctl",
    "pipe2",
    "futex",
    "clone3",
    "select",
];

/// Name and count of each event in perf's comma-separated form; what was not counted is left out.
fn parse(csv: &str) -> Vec<(String, f64)> {
    let event = |line: &str| {
        let mut fields = line.split(',');
        let count = fields.next()?.parse::<f64>().ok()?;
        let name = fields.nth(1)?.split(':').nth(1)?;
        Some((name.trim_start_matches("sys_enter_").to_owned(), count))
    };
    csv.lines().filter_map(event).collect()
}

fn report(case: Case, row: &Row, counts: &[(String, f64)], units: f64) -> String {
    let unit = match case {
        Case::Bulk | Case::BulkSmall => "MiB",
        Case::Get | Case::Start => "request",
        Case::Connect | Case::Socks5 | Case::Idle => "tunnel",
    };
    let (sum, mut each): (Vec<_>, Vec<_>) = counts.iter().partition(|(name, _)| name == "sys_enter");
    each.retain(|(_, count)| count / units >= 0.005);
    each.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let sum: f64 = sum.iter().map(|(_, count)| count).sum();
    let rest = sum - each.iter().map(|(_, count)| count).sum::<f64>();
    let mut lines = vec![
        format!("\n### System calls per {unit}: {} ({})\n", row.peer.name(), row.role),
        "| call | count |".to_owned(),
        "|---|---|".to_owned(),
    ];
    lines.extend(each.iter().map(|(name, count)| format!("| {name} | {:.3} |", count / units)));
    lines.push(format!("| others | {:.3} |", rest / units));
    lines.push(format!("| **all** | **{:.2}** |", sum / units));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_what_was_not_counted_is_left_out() {
        let csv = "# started on Friday\n\n400,,raw_syscalls:sys_enter,100,100.00,,\n200,,syscalls:sys_enter_read,100,100.00,,\n<not counted>,,syscalls:sys_enter_poll,0,100.00,,\n";
        let counts = parse(csv);
        assert_eq!(counts, [("sys_enter".to_owned(), 400.0), ("read".to_owned(), 200.0)]);
        let text = report(Case::Get, &Case::Get.rows()[0], &counts, 100.0);
        assert!(text.contains("| read | 2.000 |") && text.contains("| others | 2.000 |"), "{text}");
        assert!(text.contains("**4.00**"), "{text}");
    }
}
