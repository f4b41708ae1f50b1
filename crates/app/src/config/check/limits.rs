//! The section `[limits]`.

use super::Check;
use super::units::parse_time;
use crate::config::at::At;
use crate::config::file::LimitsSection;
use crate::config::settings::LimitSettings;
use shoalway_types::ByteCount;
use std::ops::RangeInclusive;
use std::time::Duration;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Checks all limits.
pub(super) fn limits(section: &LimitsSection, check: &mut Check<'_>) -> LimitSettings {
    let short = Duration::from_millis(100)..=Duration::from_secs(10 * MINUTE);
    let long = Duration::from_millis(100)..=Duration::from_secs(DAY);
    LimitSettings {
        head_timeout: check.time("head_timeout", &section.head_timeout, short.clone()),
        idle_timeout: check.time("idle_timeout", &section.idle_timeout, long.clone()),
        tunnel_idle: or_off(check, &section.tunnel_idle),
        connect_timeout: check.time("connect_timeout", &section.connect_timeout, short),
        first_byte: check.time("first_byte", &section.first_byte, long),
        min_rate: check.rate("min_rate", &section.min_rate),
        head_size: check.size("head_size", &section.head_size, ByteCount(1 << 10)..=ByteCount(1 << 20)),
        memory: check.memory("memory", &section.memory),
        connections: count(section.connections.as_ref()),
        connections_per_client: count(section.connections_per_client.as_ref()),
        drain: check.time("drain", &section.drain, Duration::ZERO..=Duration::from_secs(DAY)),
    }
}

fn or_off(check: &mut Check<'_>, at: &At<String>) -> Option<Duration> {
    if at.get() == "off" {
        return None;
    }
    let bounds: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * DAY);
    if parse_time(at.get()).is_some_and(|time| bounds.contains(&time)) {
        return parse_time(at.get());
    }
    Some(check.time("tunnel_idle", at, bounds))
}

/// A number whose bounds the schema has checked.
fn count(at: Option<&At<i64>>) -> Option<u64> {
    at.and_then(|at| u64::try_from(*at.get()).ok())
}
