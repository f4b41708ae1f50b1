//! The report as one JSON object, for `--json`.

use super::{Problem, Report};
use serde_json::{Value, json};

impl Report {
    /// `{"ok", "errors", "warnings", "problems": [{"code", "severity", "message", "file", "line", "column",
    /// "label", "also", "fixes"}]}`; file, line and column are null for a problem without a place.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "ok": self.errors() == 0,
            "errors": self.errors(),
            "warnings": self.warnings(),
            "problems": self.problems().iter().map(|problem| self.object(problem)).collect::<Vec<_>>(),
        })
    }

    fn object(&self, problem: &Problem) -> Value {
        let at = self.sources().locate(&problem.place);
        let also = problem.also.iter().filter_map(|(place, word)| {
            let at = self.sources().locate(place)?;
            Some(json!({ "file": at.file, "line": at.line, "column": at.column, "text": word }))
        });
        json!({
            "code": problem.code.id(),
            "severity": problem.code.severity(),
            "title": problem.code.entry().title,
            "message": problem.message,
            "file": at.as_ref().map(|at| &at.file),
            "line": at.as_ref().map(|at| at.line),
            "column": at.as_ref().map(|at| at.column),
            "label": problem.label,
            "also": also.collect::<Vec<_>>(),
            "fixes": problem.fixes,
        })
    }
}
