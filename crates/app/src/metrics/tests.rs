//! The page, read as Prometheus reads it.

use super::*;
use crate::log::writer::LogControl;
use crate::run::board::InForce;
use shoalway_net::blocking::Blocking;
use shoalway_net::counters::VerbLabel;
use shoalway_net::fleet::{Fleet, FleetConfig, Message};
use shoalway_net::limits::Limits;
use shoalway_testkit::proxy::Metrics;
use std::time::Duration;

fn with_board(test: impl FnOnce(&Board)) {
    let blocking = Blocking::start(1).unwrap();
    let config =
        FleetConfig { shards: 2, memory: 1 << 30, limits: Limits::default(), writer: None, blocking };
    let (fleet, threads) = Fleet::start(&config).unwrap();
    test(&Board::new(fleet.clone(), LogControl::default()));
    for shard in 0..2 {
        assert!(fleet.send(shard, Message::Stop).is_ok());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_page_is_what_prometheus_reads() {
    with_board(|board| {
        let name = "odd \"name\"\\\n";
        let counted = Counted::new(name, 2);
        for (shard, ms) in [(0, 3), (1, 30), (1, 60_000)] {
            counted.shards[shard].request(VerbLabel::Direct, 200);
            counted.shards[shard].durations.observe(Duration::from_millis(ms));
        }
        counted.shards[0].request(VerbLabel::Block, 403);
        board.set_in_force(InForce {
            counters: vec![Counted::new("plain", 2), counted],
            ..InForce::default()
        });
        let text = render(board);
        assert!(text.contains("listener=\"odd \\\"name\\\"\\\\\\n\""), "{text}");
        let all = Metrics::parse(&text.replace("odd \\\"name\\\"\\\\\\n", "odd"));
        let odd = ("listener", "odd");
        let requests =
            |verb, class| all.sum("shoalway_requests_total", &[odd, ("verb", verb), ("class", class)]);
        assert_eq!((requests("direct", "2xx"), requests("block", "4xx")), (3.0, 1.0));
        let bucket = |le| all.sum("shoalway_request_duration_seconds_bucket", &[odd, ("le", le)]);
        assert_eq!((bucket("0.001"), bucket("0.005"), bucket("0.05"), bucket("10")), (0.0, 1.0, 2.0, 2.0));
        assert_eq!((bucket("+Inf"), all.sum("shoalway_request_duration_seconds_count", &[odd])), (3.0, 3.0));
        assert_eq!(all.sum("shoalway_request_duration_seconds_sum", &[odd]), 60.033);
        assert_eq!(all.sum("shoalway_build_info", &[("version", VERSION)]), 1.0);
    });
}

#[test]
fn every_sample_has_its_type_and_every_type_its_help() {
    with_board(|board| {
        board.set_in_force(InForce { counters: vec![Counted::new("a", 2)], ..InForce::default() });
        let text = render(board);
        let all = Metrics::parse(&text);
        for name in all.names() {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let kind = all.types.get(family.unwrap_or(name)).or_else(|| all.types.get(name));
            assert!(kind.is_some(), "{name}");
            assert_eq!(name.ends_with("_total"), kind.unwrap() == "counter", "{name}");
        }
        for name in all.types.keys() {
            assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1, "{name}");
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
        }
    });
}

#[test]
fn seconds_are_written_in_full() {
    for (us, text) in [(0, "0"), (1, "0.000001"), (5_000, "0.005"), (2_500_000, "2.5"), (10_000_000, "10")] {
        assert_eq!(seconds(us), text);
    }
}
