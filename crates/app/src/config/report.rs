//! All problems of one configuration, and how they are shown: as text with a caret under the place, or as JSON.
//!
//! Not here: finding them ([`super::check`]) and what the codes mean ([`super::catalogue`]).

mod json;
mod text;

pub use text::Ending;

use super::at::Place;
use super::catalogue::{Code, Severity};
use super::source::Sources;
use std::fmt;

/// One mistake or doubt: what, where, why, and what to do.
#[derive(Clone)]
pub struct Problem {
    /// Its code.
    pub code: Code,
    /// One sentence with the names in it.
    pub message: String,
    /// Where; [`super::at::NOWHERE`] when it has no place.
    pub place: Place,
    /// What stands beside the caret.
    pub label: String,
    /// Other places that matter, each with a word.
    pub also: Vec<(Place, String)>,
    /// What to do, most likely first.
    pub fixes: Vec<String>,
}

impl Problem {
    /// A problem without label, other places or fixes.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        let (label, also, fixes) = (String::new(), Vec::new(), Vec::new());
        Self { code, message: message.into(), place, label, also, fixes }
    }

    /// With a text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With one more way to mend it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }

    /// With another place that matters.
    #[must_use]
    pub fn also(mut self, place: Place, word: impl Into<String>) -> Self {
        self.also.push((place, word.into()));
        self
    }
}

/// What reading and checking found, with the texts it refers to.
pub struct Report {
    sources: Sources,
    problems: Vec<Problem>,
}

impl Report {
    /// Sorts by place; what has none comes last.
    #[must_use]
    pub fn new(sources: Sources, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match sources.of(&problem.place) {
            Some(_) => (problem.place.start, problem.code.id()),
            None => (usize::MAX, problem.code.id()),
        });
        Self { sources, problems }
    }

    /// All problems, by place.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The texts.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Number of errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Number of warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.code.severity() == severity).count()
    }
}

impl fmt::Debug for Report {
    /// Codes only: messages may hold names of users and destinations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.problems.iter().map(|problem| problem.code.id())).finish()
    }
}

/// The nearest known word, when one is near enough to be meant: at most one slip in three letters.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let far = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let best = known.into_iter().map(|candidate| (far(candidate), candidate)).min_by_key(|(far, _)| *far)?;
    let allowed = (word.chars().count().max(best.1.chars().count()) / 3).max(1);
    (best.0 <= allowed).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["listen", "clients", "auth", "level"];
        for (word, near) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("lsiten", Some("listen")),
            ("client", Some("clients")),
            ("cache", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }
}
