//! The configuration: what users write, checked all at once, and what the program then holds to.
//!
//! Three steps in three files: [`file`](mod@file) says what may be written, [`check`] finds every mistake, and
//! [`settings`] is the result. [`load`] does all of it. Loading opens the files that are named and nothing else.
//! Not here: turning settings into the crates' own configurations (wiring).

pub mod file;

pub mod check;
pub mod settings;

pub mod at;
pub mod source;

mod layers;
mod literal;
pub mod shape;
mod structure;
pub mod substitute;
mod syntax;

pub mod catalogue;
pub mod report;

pub mod search;
pub mod show;
pub mod surroundings;

#[cfg(test)]
mod tests;

pub use report::{Ending, Report};
pub use settings::Settings;
pub use surroundings::Surroundings;

use at::{Many, NOWHERE};
use catalogue::Code;
use check::Check;
use file::File;
use layers::Texts;
use report::Problem;
use serde::Deserialize;
use shape::Shape;
use show::View;
use std::path::PathBuf;
use toml::Spanned;

/// What to load.
#[derive(Clone, Default)]
pub struct Request {
    /// The main file; none: defaults.
    pub file: Option<PathBuf>,
    /// `key=value`, in order; a later one replaces an earlier one.
    pub overrides: Vec<String>,
    /// Variables and files.
    pub surroundings: Surroundings,
}

/// A configuration without errors.
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// Warnings, if any.
    pub report: Report,
    /// Every value with its origin, for `config show`.
    pub view: View,
}

/// Reads and checks a configuration.
///
/// # Errors
/// The report of all mistakes, warnings included, when there is at least one error.
pub fn load(request: &Request) -> Result<Loaded, Box<Report>> {
    let texts = Texts::read(request.file.as_deref(), &request.overrides, &request.surroundings);
    let unreadable = texts.problems.iter().any(|problem| problem.code == Code::Unreadable);
    let (settings, view, problems) = if unreadable {
        (None, View::default(), Vec::new())
    } else {
        understand(&texts, &request.surroundings)
    };
    let Texts { sources, problems: mut all, .. } = texts;
    all.extend(problems);
    let report = Report::new(sources, all);
    match settings {
        Some(settings) if report.errors() == 0 => Ok(Loaded { settings, report, view }),
        Some(_) | None => Err(Box::new(report)),
    }
}

fn understand(texts: &Texts, surroundings: &Surroundings) -> (Option<Settings>, View, Vec<Problem>) {
    let (written, mut problems) = texts.merged();
    let mut table = written.clone();
    let origins = substitute::substitute(&mut table, &texts.sources, surroundings, &mut problems);
    let mut lost = texts.lost.clone();
    structure::fit(&mut table, &Shape::of_file(), &mut problems, &mut lost);
    let deserializer = toml::Deserializer::from(Spanned::new(NOWHERE, table));
    let mut file = match File::deserialize(deserializer) {
        Ok(file) => file,
        Err(error) => {
            // The comparison above leaves nothing that does not fit; should it ever, this still has a place.
            let place = error.span().unwrap_or(NOWHERE);
            problems.push(Problem::new(Code::WrongType, place, error.message().to_owned()));
            return (None, View::default(), problems);
        }
    };
    let reverse = !file.sites.is_empty() || !file.streams.is_empty() || file.node.is_some();
    let forward = written.contains_key("proxy") || file.overlay.is_some() || !reverse;
    if !forward {
        // The default is for a file that says nothing of what to do; it would be shown as if it held.
        file.proxy.listen = Many::default();
    }
    let view = View::new(&file, &written, &texts.sources);
    let sources = &texts.sources;
    let mut check = Check {
        sources,
        written: &written,
        section: NOWHERE,
        origins: &origins,
        surroundings,
        lost: &lost,
        forward,
        problems,
    };
    let settings = check::check(&file, &mut check);
    (settings, view, check.problems)
}
