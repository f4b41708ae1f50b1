//! `h2load` of nghttp2 as the load where clients speak HTTP/2, or much TLS: its command, and what it reports.
//!
//! One cipher suite is offered, so that every proxy encrypts alike. Windows are those of a browser (4 MiB a stream,
//! 16 MiB a connection), not its default of 1 GiB.

use std::process::Command;

use anyhow::Result;

use super::super::load::{Outcome, Under, piped};
use super::super::site::Running;
use super::certificate::HOST;
use super::{Bench, Case};

/// Its name, from the package nghttp2-client.
pub(super) const PROGRAM: &str = "h2load";

/// Runs `amount` requests of `case` through `running`.
///
/// # Errors
/// When it cannot be started. That it failed is part of the outcome.
pub(super) fn run(bench: &Bench, case: Case, running: &Running, amount: u64) -> Result<Outcome> {
    let h1 = case == Case::TlsBulk;
    let (clients, streams) = match case {
        Case::H2 => ("8", "32"),
        Case::H2Bulk => ("4", "8"),
        Case::TlsBulk
        | Case::H1Small
        | Case::H1Middle
        | Case::BodySmall
        | Case::BodyLarge
        | Case::TlsHandshake
        | Case::L4Bulk
        | Case::L4Connect
        | Case::Idle
        | Case::Latency
        | Case::Reload => ("4", "1"),
    };
    let address = running.address(case.door());
    let path = if case.bytes() == 0 { "/page".to_owned() } else { format!("/bytes/{}", case.bytes()) };
    let mut command = Command::new(PROGRAM);
    command.args(["-c", clients, "-m", streams, "-n", &amount.to_string(), "-w", "22", "-W", "24"]);
    command.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256", "-N", "60s"]);
    command.arg(format!("--connect-to={address}"));
    if h1 {
        command.arg("--h1");
    }
    command.arg(format!("https://{HOST}:{}{path}", address.port()));
    let (outcome, text) = Under::start(piped(command), &bench.run.cores)?.finish(|_| None)?;
    let wanted = if h1 { "http/1.1" } else { "h2" };
    Ok(parse(&text, amount, wanted).unwrap_or_else(|| Outcome {
        error: format!("h2load: {} {}", outcome.error, text.lines().last().unwrap_or_default()),
        ..outcome
    }))
}

/// Reads its report: what was not answered with 2xx has failed, and so has everything over another protocol.
fn parse(text: &str, amount: u64, protocol: &str) -> Option<Outcome> {
    let after = |head: &str| text.lines().find_map(|line| line.trim().strip_prefix(head));
    let seconds = duration(after("finished in ")?.split(',').next()?)?;
    let done: u64 = after("status codes: ")?.split_whitespace().next()?.parse().ok()?;
    let data = after("traffic: ")?.rsplit_once("savings").map(|(_, rest)| rest)?;
    let bytes: u64 = data.split('(').nth(1)?.split(')').next()?.parse().ok()?;
    let spoken = after("Application protocol: ").unwrap_or("nothing");
    let failed = if spoken == protocol { amount.saturating_sub(done) } else { amount };
    let said = after("requests: ").unwrap_or_default();
    let error = if failed == 0 { String::new() } else { format!("over {spoken}: {said}") };
    Some(Outcome { done, failed, bytes, seconds, error, ..Outcome::default() })
}

/// Such as `1.50s`, `2.00ms` or `900us`.
fn duration(text: &str) -> Option<f64> {
    for (unit, factor) in [("ms", 1e-3), ("us", 1e-6), ("s", 1.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "starting benchmark...\nTLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\nApplication protocol: h2\nprogress: 100% done\n\nfinished in 12.50ms, 1600.00 req/s, 0B/s\nrequests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx\ntraffic: 20.50MB (21495808) total, 320B (320) headers (space savings 90.00%), 20.00MB (20971520) data\n";

    #[test]
    fn the_report_is_read() {
        let outcome = parse(REPORT, 20, "h2").expect("a report");
        assert_eq!((outcome.done, outcome.failed, outcome.bytes), (20, 0, 20 << 20));
        assert!((outcome.seconds - 0.0125).abs() < 1e-9, "{}", outcome.seconds);
    }

    #[test]
    fn other_answers_and_another_protocol_are_failures() {
        let report = REPORT.replace("20 2xx, 0 3xx, 0 4xx, 0 5xx", "15 2xx, 0 3xx, 0 4xx, 5 5xx");
        assert_eq!(parse(&report, 20, "h2").map(|outcome| outcome.failed), Some(5));
        let report = REPORT.replace("protocol: h2", "protocol: http/1.1");
        assert_eq!(parse(&report, 20, "h2").map(|outcome| outcome.failed), Some(20));
        assert_eq!(parse("refused", 20, "h2"), None);
    }
}
