//! Whole configurations: each mistake has its code and place, reports read as documented, nothing panics.

mod certificates;
mod examples;
mod mistakes;
mod overlay;
mod reports;
mod values;

use super::surroundings::Surroundings;
use super::{Loaded, Report, Request, load};

/// The file's name in these tests.
const NAME: &str = "shoalway.toml";

/// Loads a text as the main file, with some files beside it.
fn load_text(text: &str) -> Result<Loaded, Box<Report>> {
    load_with(text, &[], surroundings())
}

fn load_with(text: &str, overrides: &[&str], surroundings: Surroundings) -> Result<Loaded, Box<Report>> {
    load(&Request {
        file: Some(NAME.into()),
        overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
        surroundings: surroundings.with_file(NAME, text),
    })
}

/// Files and variables that configurations here may name.
fn surroundings() -> Surroundings {
    let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n";
    Surroundings::default()
        .with_variable("SET", "from-environment")
        .with_variable("EMPTY", "")
        .with_file("users.htpasswd", "me:$apr1$0123abcd$S2r2KGdkhSGLSxZIi6qNU1\n")
        .with_file("empty.htpasswd", "# nobody\n")
        .with_file("broken.htpasswd", "no colon\n")
        .with_file("proxy.pem", certificate)
        .with_file("proxy.key", key)
        .with_file("app.pem", certificate)
        .with_file("app.key", key)
        .with_file("wild.pem", certificate)
        .with_file("wild.key", key)
        .with_file("proxy.ocsp", "no answer")
        .with_file("inner-ca.pem", certificate)
        .with_file("vps.pass", "p%4:@ss\n")
        .with_file("ads.txt", "ads.example\n0.0.0.0 tracker.example\n")
        .with_file("odd.txt", "ads.example\n@@exception\n")
}

/// `CODE line:column` for each problem, in order.
fn found(report: &Report) -> Vec<String> {
    let place = |problem: &super::report::Problem| match report.sources().locate(&problem.place) {
        Some(at) => format!("{} {}:{}", problem.code.id(), at.line, at.column),
        None => format!("{} -", problem.code.id()),
    };
    report.problems().iter().map(place).collect()
}

/// The problems of a text, whether it loads or not.
fn problems(text: &str) -> Vec<String> {
    match load_text(text) {
        Ok(loaded) => found(&loaded.report),
        Err(report) => found(&report),
    }
}
