//! Time in lines, always in UTC; the part down to the second is made once a second and thread.
//!
//! Days become dates by the usual count from 1 March, in which leap days come last. Not here: clocks (`net/clock`).

use super::text::three_digits;
use std::cell::Cell;
use std::fmt;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const ISO: usize = "2026-01-02T03:04:05".len();
const CLF: usize = "02/Jan/2026:03:04:05".len();

thread_local! {
    static LAST_ISO: Cell<(u64, [u8; ISO])> = const { Cell::new((u64::MAX, [0; ISO])) };
    static LAST_CLF: Cell<(u64, [u8; CLF])> = const { Cell::new((u64::MAX, [0; CLF])) };
}

/// `2026-01-02T03:04:05.678Z`, RFC 3339.
pub(super) fn iso(out: &mut Vec<u8>, ms: u64) {
    let second = ms / 1_000;
    let text = LAST_ISO.with(|last| match last.get() {
        (known, text) if known == second => text,
        _ => {
            let text = Moment::at(second).iso();
            last.set((second, text));
            text
        }
    });
    out.extend_from_slice(&text);
    out.push(b'.');
    three_digits(out, ms % 1_000);
    out.push(b'Z');
}

/// `02/Jan/2026:03:04:05 +0000`, the common log format.
pub(super) fn clf(out: &mut Vec<u8>, ms: u64) {
    let second = ms / 1_000;
    let text = LAST_CLF.with(|last| match last.get() {
        (known, text) if known == second => text,
        _ => {
            let text = Moment::at(second).clf();
            last.set((second, text));
            text
        }
    });
    out.extend_from_slice(&text);
    out.extend_from_slice(b" +0000");
}

/// A second as people write it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    year: u64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Moment {
    /// Seconds since 1970-01-01T00:00:00Z. After the year 9999 the last moment of that year.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        let seconds = seconds.min(253_402_300_799);
        let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (rest / 3_600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    fn iso(self) -> [u8; ISO] {
        let ([y1, y2, y3, y4], [m1, m2], [d1, d2]) = (four(self.year), two(self.month), two(self.day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(self.hour), two(self.minute), two(self.second));
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2]
    }

    fn clf(self) -> [u8; CLF] {
        let month = MONTHS.get(usize::from(self.month).saturating_sub(1)).copied().unwrap_or(b"Dec");
        let ([y1, y2, y3, y4], [m1, m2, m3], [d1, d2]) = (four(self.year), *month, two(self.day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(self.hour), two(self.minute), two(self.second));
        [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':', h1, h2, b':', n1, n2, b':', s1, s2]
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn two(n: u8) -> [u8; 2] {
    [b'0' + n / 10 % 10, b'0' + n % 10]
}

fn four(n: u64) -> [u8; 4] {
    [n / 1_000, n / 100, n / 10, n].map(|n| b'0' + (n % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Moment::at(seconds).to_string(), text);
        }
    }

    #[test]
    fn the_second_kept_is_the_one_asked_for() {
        let text = |write: fn(&mut Vec<u8>, u64), ms| {
            let mut out = Vec::new();
            write(&mut out, ms);
            String::from_utf8(out).unwrap()
        };
        for (ms, wanted) in [
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (951_782_400_999, "2000-02-29T00:00:00.999Z"),
            (951_782_401_000, "2000-02-29T00:00:01.000Z"),
            (951_782_400_120, "2000-02-29T00:00:00.120Z"),
        ] {
            assert_eq!(text(iso, ms), wanted);
        }
        assert_eq!(text(clf, 951_782_400_007), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(text(clf, 1_767_225_599_000), "31/Dec/2025:23:59:59 +0000");
    }
}
