//! Times, sizes, rates and shares as people write them.
//!
//! A time is one or more numbers with units, largest first: `90s`, `1m 30s`, `250ms`.

use super::Check;
use crate::config::at::At;
use crate::config::catalogue::Code;
use crate::config::report::Problem;
use crate::config::settings::Memory;
use shoalway_policy::Rate;
use shoalway_types::ByteCount;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a time.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.trim_start();
        let length = letters.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = letters.split_at_checked(length)?;
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        if factor >= last {
            return None;
        }
        last = factor;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.trim_start();
    }
    (last != u64::MAX).then(|| Duration::from_millis(total))
}

/// Reads `COUNT/UNIT` with `s`, `m` or `h`, and perhaps `burst=COUNT`; without it the whole count may come at once.
fn parse_events(text: &str) -> Option<Rate> {
    let mut words = text.split_whitespace();
    let (count, unit) = words.next()?.split_once('/')?;
    let count: NonZeroU32 = count.parse().ok()?;
    let period = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let burst = match words.next() {
        Some(word) => word.strip_prefix("burst=")?.parse().ok()?,
        None => count,
    };
    words.next().is_none().then(|| Rate::new(count, period, burst))
}

/// A time as people write it.
pub(super) fn show_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().rev().find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor));
    unit.map_or_else(|| format!("{millis} ms"), |(name, factor)| format!("{} {name}", millis / factor))
}

impl Check<'_> {
    /// A time within bounds; a mistake is noted, and the lower bound returned to go on with.
    pub(super) fn time(&mut self, key: &str, at: &At<String>, bounds: RangeInclusive<Duration>) -> Duration {
        match parse_time(at.get()) {
            Some(time) if bounds.contains(&time) => return time,
            Some(_) => {
                let (from, to) = (show_time(*bounds.start()), show_time(*bounds.end()));
                self.out_of_range(key, at, &format!("from {from} to {to}"));
            }
            None => self.no_quantity(key, at, "a time", "s", "10s"),
        }
        *bounds.start()
    }

    /// A size within bounds.
    pub(super) fn size(
        &mut self,
        key: &str,
        at: &At<String>,
        bounds: RangeInclusive<ByteCount>,
    ) -> ByteCount {
        match with_unit(at.get()).and_then(|text| text.parse::<ByteCount>().ok()) {
            Some(size) if bounds.contains(&size) => return size,
            Some(_) => {
                let range = format!("from {} to {}", bounds.start(), bounds.end());
                self.out_of_range(key, at, &range);
            }
            None => self.no_quantity(key, at, "a size", " KiB", "64 KiB"),
        }
        *bounds.start()
    }

    /// Bytes a second, at most 1 GB/s.
    pub(super) fn rate(&mut self, key: &str, at: &At<String>) -> ByteCount {
        let size =
            at.get().trim().strip_suffix("/s").and_then(|size| with_unit(size)?.parse::<ByteCount>().ok());
        match size {
            Some(rate) if rate <= ByteCount(1_000_000_000) => return rate,
            Some(_) => self.out_of_range(key, at, "from 0 B/s to 1 GB/s"),
            None => self.no_quantity(key, at, "a rate", " B/s", "64 B/s"),
        }
        ByteCount(0)
    }

    /// So many events in a time, such as `100/s burst=200`; a mistake is noted.
    pub(super) fn events(&mut self, key: &str, at: &At<String>) -> Option<Rate> {
        let rate = parse_events(at.get());
        if rate.is_none() {
            let message = format!("`{key}` is not a number of events in a time: `{}`", at.get().trim());
            let problem = Problem::new(Code::Quantity, at.place(), message);
            self.add(problem.label("such as \"100/s\" or \"600/m burst=50\""));
        }
        rate
    }

    /// A share of the machine's memory, or a size.
    pub(super) fn memory(&mut self, key: &str, at: &At<String>) -> Memory {
        let least = ByteCount(16 << 20);
        if let Some(share) = at.get().trim().strip_suffix('%') {
            match share.trim().parse::<u8>() {
                Ok(share @ 1..=90) => return Memory::Share(share),
                Ok(_) => self.out_of_range(key, at, "from 1% to 90%"),
                Err(_) => self.no_quantity(key, at, "a share", "%", "50%"),
            }
            return Memory::Share(50);
        }
        match with_unit(at.get()).and_then(|text| text.parse::<ByteCount>().ok()) {
            Some(size) if size >= least => return Memory::Size(size),
            Some(_) => self.out_of_range(key, at, "at least 16 MiB"),
            None => self.no_quantity(key, at, "a share or size", "%", "50%"),
        }
        Memory::Share(50)
    }

    /// A share in whole percent within bounds; a mistake is noted.
    pub(super) fn share(&mut self, key: &str, at: &At<String>, bounds: RangeInclusive<u32>) -> u32 {
        let share = at.get().trim().strip_suffix('%').and_then(|share| share.trim().parse::<u32>().ok());
        match share {
            Some(share) if bounds.contains(&share) => return share,
            Some(_) => {
                let range = format!("from {}% to {}%", bounds.start(), bounds.end());
                self.out_of_range(key, at, &range);
            }
            None => self.no_quantity(key, at, "a share", "%", "50%"),
        }
        *bounds.start()
    }

    fn out_of_range(&mut self, key: &str, at: &At<String>, range: &str) {
        let problem =
            Problem::new(Code::Range, at.place(), format!("`{key}` is out of range: `{}`", at.get().trim()));
        self.add(problem.label(range));
    }

    fn no_quantity(&mut self, key: &str, at: &At<String>, what: &str, unit: &str, example: &str) {
        let text = at.get().trim();
        let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let problem = if bare {
            let problem = Problem::new(Code::NoUnit, at.place(), format!("`{key}` needs a unit: `{text}`"));
            problem.label(format!("did you mean \"{text}{unit}\"?"))
        } else {
            let problem =
                Problem::new(Code::Quantity, at.place(), format!("`{key}` is not {what}: `{text}`"));
            problem.label(format!("such as \"{example}\""))
        };
        self.add(problem);
    }
}

/// The text, when it has a unit.
fn with_unit(text: &str) -> Option<&str> {
    text.trim().ends_with(|c: char| c.is_ascii_alphabetic()).then_some(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, millis, shown) in [
            ("10s", 10_000, "10 s"),
            ("250ms", 250, "250 ms"),
            ("250 ms", 250, "250 ms"),
            ("1m 30s", 90_000, "90 s"),
            ("1h30m", 5_400_000, "90 m"),
            ("0s", 0, "0 ms"),
            ("2d", 172_800_000, "2 d"),
        ] {
            let time = parse_time(text).unwrap();
            assert_eq!((time.as_millis(), show_time(time).as_str()), (millis, shown), "{text}");
        }
        for text in ["", "10", "s", "10 x", "-1s", "1.5s", "1s 1m", "1s1s", "99999999999999999999d"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn events_in_a_time_are_read() {
        let count = |n| NonZeroU32::new(n).unwrap();
        let second = Duration::from_secs(1);
        for (text, wanted) in [
            ("100/s", Some(Rate::new(count(100), second, count(100)))),
            (" 600/m burst=50 ", Some(Rate::new(count(600), second * 60, count(50)))),
            ("1/h", Some(Rate::new(count(1), second * 3_600, count(1)))),
            ("0/s", None),
            ("100", None),
            ("100/d", None),
            ("100/s 200", None),
            ("100/s burst=0", None),
            ("100/s burst=1 more", None),
        ] {
            assert_eq!(parse_events(text), wanted, "{text}");
        }
    }
}
