//! Counters as Prometheus text, format 0.0.4: every metric with its help and type, labels bounded.
//!
//! Labels are names from the configuration (listeners, upstreams, endpoints) and words of a fixed set; no client, user or
//! destination of a client is ever one.
//! Numbers are sums over all shards. Not here: counting (`net/counters`), serving (`admin`).

mod certificates;
mod overlay;
mod process;
mod upstreams;

pub(crate) use certificates::certificates;
pub(crate) use overlay::overlay;
pub(crate) use process::resident_bytes;

use crate::run::board::{Board, Counted, State};
use crate::run::messages;
use shoalway_net::counters::{BOUNDS_US, Counter, ListenerCounters, STATUS_CLASSES, ShardCounters, VERBS};
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

/// Type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
#[must_use]
pub fn render(board: &Board) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    let in_force = board.in_force();
    page.one(
        "shoalway_build_info",
        Kind::Gauge,
        "Always 1; the version is the label.",
        &[("version", VERSION)],
        1,
    );
    page.one("shoalway_up", Kind::Gauge, "1 while clients are served, 0 while starting or draining.", &[], {
        u64::from(board.state() == State::Ready)
    });
    page.seconds("shoalway_uptime_seconds", "Time since the start.", board.started.elapsed().as_secs_f64());
    requests(&mut page, &in_force.counters);
    durations(&mut page, &in_force.counters);
    for metric in &PER_LISTENER {
        page.head(metric.name, metric.kind, metric.help);
        for counted in &in_force.counters {
            let value = counted.sum(|counters| (metric.of)(counters).get());
            page.sample(metric.name, &[("listener", &counted.name)], value);
        }
    }
    bytes(&mut page, &in_force.counters);
    upstreams::render(&mut page, &in_force.upstreams);
    for metric in &PER_SHARD {
        let value = board.fleet.counters().map(|counters| (metric.of)(counters).get()).sum::<u64>();
        page.one(metric.name, metric.kind, metric.help, &[], value);
    }
    page.one("shoalway_buffer_limit_bytes", Kind::Gauge, "Bytes buffers may take.", &[], in_force.memory);
    page.one("shoalway_shards", Kind::Gauge, "Number of shards.", &[], board.fleet.len());
    log(&mut page, board);
    traces(&mut page, board);
    page.one(
        "shoalway_panics_total",
        Kind::Counter,
        "Faults of this program that ended a task.",
        &[],
        messages::panics(),
    );
    reloads(&mut page, board, in_force.loaded_s);
    process::render(&mut page, board.started_s);
    page.0
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Metric<C> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&C) -> &Counter,
}

const PER_LISTENER: [Metric<ListenerCounters>; 4] = [
    Metric {
        name: "shoalway_connections_accepted_total",
        kind: Kind::Counter,
        help: "Connections of clients that were let in.",
        of: |counters| &counters.accepted,
    },
    Metric {
        name: "shoalway_connections_refused_total",
        kind: Kind::Counter,
        help: "Connections of clients closed before a byte was read, by a limit.",
        of: |counters| &counters.refused,
    },
    Metric {
        name: "shoalway_connections",
        kind: Kind::Gauge,
        help: "Connections of clients open now.",
        of: |counters| &counters.open,
    },
    Metric {
        name: "shoalway_tunnels",
        kind: Kind::Gauge,
        help: "Tunnels and associations open now.",
        of: |counters| &counters.tunnels,
    },
];

const PER_SHARD: [Metric<ShardCounters>; 9] = [
    Metric {
        name: "shoalway_connections_moved_total",
        kind: Kind::Counter,
        help: "Fresh connections moved to a shard with less to do.",
        of: |counters| &counters.moved,
    },
    Metric {
        name: "shoalway_accept_pauses_total",
        kind: Kind::Counter,
        help: "Times accepting paused because no file descriptor was left.",
        of: |counters| &counters.accept_pauses,
    },
    Metric {
        name: "shoalway_upstream_connects_total",
        kind: Kind::Counter,
        help: "Connections to upstreams opened.",
        of: |counters| &counters.upstream_connects,
    },
    Metric {
        name: "shoalway_upstream_failures_total",
        kind: Kind::Counter,
        help: "Attempts to connect to an upstream that failed.",
        of: |counters| &counters.upstream_failures,
    },
    Metric {
        name: "shoalway_upstream_reused_total",
        kind: Kind::Counter,
        help: "Requests sent over a kept upstream connection.",
        of: |counters| &counters.upstream_reused,
    },
    Metric {
        name: "shoalway_upstream_taken_over_total",
        kind: Kind::Counter,
        help: "Idle upstream connections taken over from another shard.",
        of: |counters| &counters.upstream_taken_over,
    },
    Metric {
        name: "shoalway_upstream_idle",
        kind: Kind::Gauge,
        help: "Idle upstream connections kept now.",
        of: |counters| &counters.upstream_idle,
    },
    Metric {
        name: "shoalway_buffer_bytes",
        kind: Kind::Gauge,
        help: "Bytes in I/O buffers in use.",
        of: |counters| &counters.buffer_bytes,
    },
    Metric {
        name: "shoalway_spliced_bytes_total",
        kind: Kind::Counter,
        help: "Bytes moved inside the kernel.",
        of: |counters| &counters.spliced_bytes,
    },
];

/// Type of a metric.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

fn requests(page: &mut Page, all: &[Counted]) {
    let name = "shoalway_requests_total";
    page.head(
        name,
        Kind::Counter,
        "Finished requests, tunnels and associations, by verb and class of the answer.",
    );
    for counted in all {
        for (verb, word) in VERBS {
            for (index, class) in STATUS_CLASSES.iter().enumerate() {
                let value = counted.sum(|counters| counters.requests(verb, index));
                // What never happened is left out but for the commonest, so that every listener has a sample.
                if value > 0 || (word, *class) == ("direct", "2xx") {
                    page.sample(
                        name,
                        &[("listener", &counted.name), ("verb", word), ("class", class)],
                        value,
                    );
                }
            }
        }
    }
}

fn durations(page: &mut Page, all: &[Counted]) {
    page.head("shoalway_request_duration_seconds", Kind::Histogram, "How long requests and tunnels took.");
    for counted in all {
        let mut total = 0;
        let mut sum_us = 0;
        let mut buckets = [0; BOUNDS_US.len() + 1];
        for counters in counted.shards.iter() {
            sum_us += counters.durations.sum_us();
            for (bucket, more) in buckets.iter_mut().zip(counters.durations.buckets()) {
                *bucket += more;
            }
        }
        let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain(["+Inf".to_owned()]);
        for (bucket, bound) in buckets.iter().zip(bounds) {
            total += bucket;
            let labels = [("listener", &*counted.name), ("le", bound.as_str())];
            page.sample("shoalway_request_duration_seconds_bucket", &labels, total);
        }
        let labels = [("listener", &*counted.name)];
        page.sample("shoalway_request_duration_seconds_sum", &labels, seconds(sum_us));
        page.sample("shoalway_request_duration_seconds_count", &labels, total);
    }
}

fn bytes(page: &mut Page, all: &[Counted]) {
    let name = "shoalway_bytes_total";
    page.head(name, Kind::Counter, "Bytes of bodies and tunnels; up is from clients.");
    for counted in all {
        for (direction, value) in [
            ("up", counted.sum(|counters| counters.bytes_up.get())),
            ("down", counted.sum(|counters| counters.bytes_down.get())),
        ] {
            page.sample(name, &[("listener", &counted.name), ("direction", direction)], value);
        }
    }
}

fn log(page: &mut Page, board: &Board) {
    let name = "shoalway_log_lines_dropped_total";
    let behind = board.fleet.counters().map(|counters| counters.log_dropped.get()).sum::<u64>();
    page.head(name, Kind::Counter, "Lines of the access log that were lost.");
    page.sample(name, &[("reason", "behind")], behind);
    page.sample(name, &[("reason", "write_failed")], board.log.lost());
}

fn traces(page: &mut Page, board: &Board) {
    let name = "shoalway_trace_spans_total";
    let counters = &board.traces;
    page.head(name, Kind::Counter, "Spans of sampled requests, by what became of them.");
    for (outcome, count) in
        [("exported", &counters.exported), ("dropped", &counters.dropped), ("failed", &counters.failed)]
    {
        page.sample(name, &[("outcome", outcome)], count.load(Relaxed));
    }
}

fn reloads(page: &mut Page, board: &Board, loaded_s: u64) {
    let name = "shoalway_reloads_total";
    page.head(name, Kind::Counter, "Reloads of the configuration.");
    page.sample(name, &[("outcome", "ok")], board.reloads.load(Relaxed));
    page.sample(name, &[("outcome", "refused")], board.reloads_refused.load(Relaxed));
    let name = "shoalway_config_loaded_timestamp_seconds";
    page.one(name, Kind::Gauge, "When the configuration in force was loaded.", &[], loaded_s);
}

/// Microseconds as seconds, in full digits: `0.001`, `2.5`.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The page while it grows.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        self.add(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word()));
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, labels, value);
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) {
        self.one(name, Kind::Gauge, help, &[], format_args!("{value:.3}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (key, text)) in labels.iter().enumerate() {
            self.add(format_args!("{}{key}=\"", if n == 0 { '{' } else { ',' }));
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.add(format_args!("{end} {value}\n"));
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a String has no way to fail.
        self.0.write_fmt(text).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
