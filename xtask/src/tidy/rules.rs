//! The rules for one Rust file. Each is a function from a [`Source`] to findings.

use super::source::Source;
use super::{Finding, Weight};
use std::path::Path;

/// More lines than this need a reason, which a reader of the notes will ask for.
const FILE_NOTED: usize = 500;
/// No file has more lines.
const FILE_LIMIT: usize = 800;
/// Functions are read at one sight; longer ones are noted.
const FUNCTION_NOTED: usize = 60;
/// No function has more lines.
const FUNCTION_LIMIT: usize = 100;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["common", "handler", "handlers", "helper", "helpers", "manager", "misc", "mod", "util", "utils"];

/// Calls a pure crate cannot make and stay pure.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
];

/// Everything there is to say about one file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    header(source, &mut findings);
    name(&source.path, &mut findings);
    size(source, &mut findings);
    functions(source, &mut findings);
    lines(source, &mut findings);
    findings
}

fn header(source: &Source, findings: &mut Vec<Finding>) {
    if !source.text.starts_with("//! ") {
        findings.push(Finding::at(&source.path, 1, Weight::Wrong, "begins without `//!` and what it is for"));
    }
}

fn name(path: &Path, findings: &mut Vec<Finding>) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folders = path.parent().into_iter().flat_map(Path::components);
    let folders = folders.map(|part| part.as_os_str().to_string_lossy());
    for part in folders.chain([stem]) {
        if EMPTY_NAMES.contains(&part.as_ref()) || part.ends_with("_main") {
            findings.push(Finding::about(path, format!("`{part}` does not say what is inside")));
        }
    }
}

fn size(source: &Source, findings: &mut Vec<Finding>) {
    let count = source.text.lines().count();
    if let Some(weight) = weigh(count, FILE_NOTED, FILE_LIMIT) {
        let what = format!("{count} lines, the limit is {FILE_LIMIT}");
        findings.push(Finding::at(&source.path, 1, weight, what));
    }
}

fn functions(source: &Source, findings: &mut Vec<Finding>) {
    for function in source.functions() {
        let Some(weight) = weigh(function.lines, FUNCTION_NOTED, FUNCTION_LIMIT) else { continue };
        let what =
            format!("fn {} has {} lines, the limit is {FUNCTION_LIMIT}", function.name, function.lines);
        findings.push(Finding::at(&source.path, function.line, weight, what));
    }
}

fn weigh(count: usize, noted: usize, limit: usize) -> Option<Weight> {
    match count {
        count if count > limit => Some(Weight::Wrong),
        count if count > noted => Some(Weight::Noted),
        _ => None,
    }
}

fn lines(source: &Source, findings: &mut Vec<Finding>) {
    let pure = ["crates/types/src", "crates/wire/src", "crates/policy/src"];
    let pure = pure.iter().any(|folder| source.path.starts_with(folder));
    for (at, (code, comment)) in source.code.lines().zip(source.comments.lines()).enumerate() {
        let line = at + 1;
        let tests = source.is_test(line);
        let mut wrong = |what: String| findings.push(Finding::at(&source.path, line, Weight::Wrong, what));
        if let Some(word) = ["TODO", "FIXME", "XXX"].iter().find(|word| has_word(comment, word)) {
            wrong(format!("{word}: do it, or say in an issue what is to be done"));
        }
        if let Some(call) = ["todo!", "unimplemented!"].iter().find(|call| code.contains(**call)) {
            wrong(format!("{call} is a promise, not code"));
        }
        if code.contains("#[ignore") {
            wrong("an ignored test says nothing: assert what is true today".to_owned());
        }
        if tests && ["thread::sleep", "time::sleep"].iter().any(|call| code.contains(call)) {
            wrong("a test waits for an event, never for a time".to_owned());
        }
        if !tests && is_glob(code) {
            wrong("glob import: name what is used".to_owned());
        }
        if pure
            && !tests
            && let Some(call) = IMPURE.iter().find(|call| has_word(code, call))
        {
            wrong(format!("{call} in a crate that does no I/O and reads no clock"));
        }
    }
}

/// `::*` outside a macro's pattern stands in no other place than an import.
fn is_glob(code: &str) -> bool {
    code.match_indices("::*").any(|(at, _)| !code.get(..at).unwrap_or_default().ends_with(')'))
}

/// Whether `word` stands in `line` and is not a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let source = Source::read(PathBuf::from(path), text.to_owned());
        check(&source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_finds_its_fault_and_nothing_else() {
        let check = |path: &str, body: &str, wanted: &[&str]| {
            assert_eq!(findings(path, &format!("//! x\n{body}\n")), wanted, "{body}");
        };
        let a = "crates/net/src/a.rs";
        check(a, "fn a() {}", &[]);
        check(
            a,
            "// TODO later",
            &["crates/net/src/a.rs:2: TODO: do it, or say in an issue what is to be done"],
        );
        check(a, "// mastodon\nlet a = \"TODO\";", &[]);
        check(a, "todo!()", &["crates/net/src/a.rs:2: todo! is a promise, not code"]);
        check(a, "use a::*;", &["crates/net/src/a.rs:2: glob import: name what is used"]);
        check(a, "#[cfg(test)]\nmod tests {\nuse super::*;\n}", &[]);
        check(a, "std::thread::sleep(x);\nInstant::now();", &[]);
        check(
            "crates/net/tests/a.rs",
            "std::thread::sleep(x);",
            &["crates/net/tests/a.rs:2: a test waits for an event, never for a time"],
        );
        check(
            "crates/wire/src/a.rs",
            "Instant::now();",
            &["crates/wire/src/a.rs:2: Instant::now in a crate that does no I/O and reads no clock"],
        );
        check(
            "crates/net/src/utils.rs",
            "",
            &["crates/net/src/utils.rs: `utils` does not say what is inside"],
        );
        check("crates/net/src/a/mod.rs", "", &["crates/net/src/a/mod.rs: `mod` does not say what is inside"]);
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        let found = findings("crates/net/src/a.rs", "fn a() {}\n");
        assert_eq!(found, ["crates/net/src/a.rs:1: begins without `//!` and what it is for"]);
    }

    #[test]
    fn sizes_are_noted_first_and_wrong_beyond_the_limit() {
        let check = |lines: usize, wanted: &str| {
            let function = format!("//! x\nfn a() {{\n{}}}\n", "b();\n".repeat(lines - 2));
            let found = findings("crates/net/src/a.rs", &function);
            assert_eq!(found.first().map_or("", String::as_str), wanted);
        };
        check(60, "");
        check(61, "crates/net/src/a.rs:2: (noted) fn a has 61 lines, the limit is 100");
        check(101, "crates/net/src/a.rs:2: fn a has 101 lines, the limit is 100");
        let long = format!("//! x\n{}", "// y\n".repeat(800));
        assert_eq!(
            findings("crates/net/src/a.rs", &long),
            ["crates/net/src/a.rs:1: 801 lines, the limit is 800"]
        );
    }
}
