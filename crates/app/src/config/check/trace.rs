//! The section `[trace]`.
//!
//! Not here: sampling (`reverse/trace`), sending spans (`otlp`).

use super::Check;
use crate::config::at::At;
use crate::config::catalogue::Code;
use crate::config::file::{ParentWord, TraceSection};
use crate::config::report::Problem;
use crate::config::settings::TraceSettings;
use http::Uri;
use shoalway_reverse::trace::Follow;

/// Checks the section; none when there is no collector.
pub(super) fn trace(section: &TraceSection, check: &mut Check<'_>) -> Option<TraceSettings> {
    let TraceSection { otlp, sample, parent, service } = section;
    let per_million = per_million(sample.get());
    if per_million.is_none() {
        let message = format!("`sample` is not a share: `{}`", sample.get().trim());
        check
            .add(Problem::new(Code::Quantity, sample.place(), message).label("0% to 100%, such as \"0.5%\""));
    }
    let follow = match parent.get() {
        ParentWord::Trusted => Follow::Trusted,
        ParentWord::Always => Follow::Always,
        ParentWord::Never => Follow::Never,
    };
    let collector = collector(otlp.as_ref()?, check);
    let service = service.get().clone();
    Some(TraceSettings { collector: collector?, per_million: per_million?, follow, service })
}

/// A share of a million.
fn per_million(text: &str) -> Option<u32> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let (whole, part) = (whole.parse::<u32>().ok()?, format!("{part:0<4}").parse::<u32>().ok()?);
    Some(whole * 10_000 + part).filter(|share| *share <= 1_000_000)
}

/// `http` or `https`, a host, perhaps a path.
fn collector(at: &At<String>, check: &mut Check<'_>) -> Option<Uri> {
    let read = at.get().parse::<Uri>().ok();
    let good = read.filter(|uri| {
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain && matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
    });
    if good.is_none() {
        let message = "`otlp` is not the URL of a collector".to_owned();
        check.add(Problem::new(Code::Collector, at.place(), message).label("such as http://127.0.0.1:4318"));
    }
    good
}

#[cfg(test)]
mod tests {
    use super::per_million;

    #[test]
    fn shares_are_read_to_the_ten_thousandth_of_a_percent() {
        for (text, share) in [
            ("1%", Some(10_000)),
            ("0%", Some(0)),
            ("100%", Some(1_000_000)),
            ("0.5 %", Some(5_000)),
            ("0.0001%", Some(1)),
            ("100.0001%", None),
            ("101%", None),
            (".5%", None),
            ("1.%", None),
            ("-1%", None),
            ("0.00001%", None),
            ("1", None),
        ] {
            assert_eq!(per_million(text), share, "{text}");
        }
    }
}
