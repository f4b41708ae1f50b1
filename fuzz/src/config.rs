//! The configuration file: any text is read and checked, or refused at places that are in it.
//!
//! An input is the file and, each behind a NUL, what stands behind `-o` on the command line. Promises: no panic; the
//! same text has the same mistakes twice; each problem and each other place it names lies in one of the texts, at
//! whole characters, and has a line and a column; what is refused has an error, what is loaded has none; every report
//! can be shown, and so can what was loaded.

use shoalway::config::at::Place;
use shoalway::config::report::Problem;
use shoalway::config::show::Origin;
use shoalway::config::source::Sources;
use shoalway::config::{Ending, Report, Request, Surroundings, load};

const NAME: &str = "shoalway.toml";

/// What stands in place of the files that the seeds name.
const FILES: &[(&str, &str)] = &[
    ("users.htpasswd", "me:$apr1$0123abcd$S2r2KGdkhSGLSxZIi6qNU1\n"),
    ("ads.txt", "ads.example\n0.0.0.0 tracker.example\n@@odd\n"),
    ("vps.pass", "p%4:@ss\n"),
    ("a.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
    ("a.key", "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"),
    ("more.toml", "[limits]\nidle_timeout = \"7s\"\nrules = []\n"),
];

/// Places of this computer that are no files, and whose reading might never end.
const NO_FILES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// A configuration.
///
/// # Panics
/// When a promise is broken.
pub fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if NO_FILES.iter().any(|place| text.contains(place)) {
        return;
    }
    let mut parts = text.split('\0');
    let main = parts.next().unwrap_or_default();
    let request = request(main, parts);
    match (load(&request), load(&request)) {
        (Ok(loaded), Ok(again)) => {
            assert_eq!(loaded.report.errors(), 0, "loaded with errors");
            check_report(&loaded.report);
            let shown = loaded.view.to_toml(Origin::Shown);
            assert_eq!(shown, again.view.to_toml(Origin::Shown), "two views of one text");
        }
        (Err(report), Err(again)) => {
            assert!(report.errors() > 0, "refused without an error");
            check_report(&report);
            assert_eq!(report.to_json(), again.to_json(), "two reports of one text");
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("the same text is good and bad"),
    }
}

fn request<'a>(main: &str, overrides: impl Iterator<Item = &'a str>) -> Request {
    let surroundings = Surroundings::default().with_variable("SET", "from-environment").with_file(NAME, main);
    let surroundings =
        FILES.iter().fold(surroundings, |surroundings, (name, text)| surroundings.with_file(*name, *text));
    Request { file: Some(NAME.into()), overrides: overrides.map(str::to_owned).collect(), surroundings }
}

fn check_report(report: &Report) {
    for problem in report.problems() {
        check_place(report.sources(), &problem.place, problem);
        for (place, _word) in &problem.also {
            check_place(report.sources(), place, problem);
        }
    }
    let text = report.to_text(Ending::Check);
    assert_eq!(text.is_empty(), report.problems().is_empty());
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(control), "control characters for a terminal: {text:?}");
}

fn check_place(sources: &Sources, place: &Place, problem: &Problem) {
    let say = || format!("{} {:?} at {place:?}", problem.code.id(), problem.message);
    let Some(source) = sources.of(place) else { panic!("no place: {}", say()) };
    let (start, end) = (place.start.checked_sub(source.base()), place.end.checked_sub(source.base()));
    let (Some(start), Some(end)) = (start, end) else { panic!("before its text: {}", say()) };
    assert!(source.text().get(start..end).is_some(), "not in {}: {}", source.name(), say());
    let Some(at) = sources.locate(place) else { panic!("no line: {}", say()) };
    let line = source.text().split('\n').nth(at.line.saturating_sub(1));
    let columns = line.map_or(0, |line| line.chars().count() + 1);
    assert!((1..=columns).contains(&at.column), "{at:?} is no place: {}", say());
}
