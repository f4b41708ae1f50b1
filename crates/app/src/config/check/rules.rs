//! The rules with the lists and exits they name.
//!
//! Reading a rule is the policy crate's work; here its mistakes get their place in the file and their code.

use super::Check;
use super::exits::usable_name;
use crate::config::at::{At, NOWHERE};
use crate::config::catalogue::Code;
use crate::config::file::File;
use crate::config::report::Problem;
use shoalway_policy::{DomainSet, Names, RuleError, RuleErrorKind, RuleSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Matches and options that are planned.
const LATER_WORDS: &[&str] = &["time", "group", "quota", "geo", "app"];

/// What was found out about the rules.
pub(super) struct Rules {
    pub(super) rules: Option<Arc<RuleSet>>,
    /// The content of the lists, for the fingerprint.
    pub(super) content: Vec<String>,
}

/// Checks lists and rules.
pub(super) fn rules(file: &File, check: &mut Check<'_>) -> Rules {
    let mut content = Vec::new();
    let lists = lists(file, &mut content, check);
    check.enter(&["rules"]);
    let exits: Vec<&str> = file.exits.keys().map(String::as_str).collect();
    let lines: Vec<&str> = file.rules.items().iter().map(|at| at.get().as_str()).collect();
    unused(file, &lines, check);
    let names = Names { exits: &exits, lists: &lists, overlay: file.overlay.is_some() };
    match RuleSet::parse(&lines, &names) {
        Ok(rules) => Rules { rules: Some(Arc::new(rules)), content },
        Err(errors) => {
            let taker = taker(&lines, &names);
            for error in errors {
                note(file, &error, taker, check);
            }
            Rules { rules: None, content }
        }
    }
}

fn lists(file: &File, content: &mut Vec<String>, check: &mut Check<'_>) -> BTreeMap<String, Arc<DomainSet>> {
    let mut lists = BTreeMap::new();
    for (name, section) in &file.lists {
        check.enter(&["lists", name]);
        // A list that cannot be read is still a list: rules that name it are not at fault.
        let mut set = DomainSet::default();
        if let Some(at) = &section.file {
            usable_name(name, at, check);
            if let Some(file) = check.read(at, &format!("the list `{name}`")) {
                set = read_list(name, at, &file.text, check);
                content.push(file.text);
            }
        } else if !check.is_lost("file") && !check.is_lost("url") {
            let problem = Problem::new(Code::Missing, NOWHERE, format!("the list `{name}` has no `file`"));
            check.add(problem.fix(format!("write file = \"{name}.txt\" in [lists.{name}]")));
        }
        lists.insert(name.clone(), Arc::new(set));
    }
    lists
}

fn read_list(name: &str, at: &At<String>, text: &str, check: &mut Check<'_>) -> DomainSet {
    let (set, summary) = DomainSet::from_list(text);
    if summary.skipped > 0 {
        let message =
            format!("the list `{name}` has {} lines or names that are not understood", summary.skipped);
        let problem = Problem::new(Code::List, at.place(), message);
        check.add(problem.label(format!(
            "the first in line {}; {} names were read",
            summary.first_skipped, summary.names
        )));
    } else if summary.names == 0 {
        check.add(Problem::new(Code::List, at.place(), format!("the list `{name}` holds no names")));
    }
    set
}

/// Notes exits and lists that no rule names. The words of a rule are enough for that.
fn unused(file: &File, lines: &[&str], check: &mut Check<'_>) {
    if check.is_lost("rules") {
        return;
    }
    let mut used = BTreeSet::new();
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        let (kind, names) = word.trim_start_matches('!').split_once(':').unwrap_or_default();
        used.extend(names.split(',').map(|name| (kind, name)));
    }
    let exits = file.exits.iter().filter_map(|(name, exit)| Some(("exit", "via", name, exit.url.as_ref()?)));
    let lists =
        file.lists.iter().filter_map(|(name, list)| Some(("list", "list", name, list.file.as_ref()?)));
    for (what, kind, name, at) in exits.chain(lists) {
        if !used.contains(&(kind, name.as_str())) {
            let problem = Problem::new(Code::Unused, at.place(), format!("no rule uses the {what} `{name}`"));
            check.add(problem.fix(format!("use it in a rule as `{kind}:{name}`, or remove it")));
        }
    }
}

/// The first rule that takes everything: one that makes a further rule unreachable.
fn taker(lines: &[&str], names: &Names<'_>) -> Option<usize> {
    lines.iter().position(|line| match RuleSet::parse(&[*line, "block all"], names) {
        Ok(_) => false,
        Err(errors) => errors.iter().any(|error| error.kind == RuleErrorKind::Unreachable),
    })
}

fn note(file: &File, error: &RuleError, taker: Option<usize>, check: &mut Check<'_>) {
    let Some(at) = file.rules.items().get(error.rule) else { return };
    let word = at.get().get(error.span.clone()).unwrap_or_default();
    let place = check.inside(at, error.span.clone());
    let code = match error.kind {
        RuleErrorKind::UnknownExit | RuleErrorKind::UnknownList => {
            if word.split([':', ',']).any(|name| check.is_lost(name)) {
                return;
            }
            Code::UnknownName
        }
        RuleErrorKind::OverlayNotConfigured => Code::UnknownName,
        RuleErrorKind::UnknownMatch => match word.trim_start_matches('!').split(':').next() {
            Some(stem) if LATER_WORDS.contains(&stem) => Code::Later,
            Some(_) | None => Code::Rule,
        },
        RuleErrorKind::Unreachable => Code::DeadRule,
        RuleErrorKind::Empty
        | RuleErrorKind::UnknownVerb
        | RuleErrorKind::NoMatch
        | RuleErrorKind::MissingValue
        | RuleErrorKind::BadValue
        | RuleErrorKind::UnclosedQuote
        | RuleErrorKind::MisplacedOption
        | RuleErrorKind::NeverMatches => Code::Rule,
    };
    let number = error.rule + 1;
    let problem = match code {
        Code::DeadRule => Problem::new(code, place, format!("rule {number} can never match")),
        Code::Later => Problem::new(code, place, format!("rule {number}: `{word}` is not in this version")),
        _ => Problem::new(code, place, format!("rule {number}: {}", error.message)),
    };
    let problem = match (&error.help, code) {
        (_, Code::Later) | (None, _) => problem,
        (Some(help), _) => problem.label(help.clone()),
    };
    check.add(match (code, taker.and_then(|taker| file.rules.items().get(taker))) {
        (Code::DeadRule, Some(taker)) => problem.also(taker.place(), "takes everything"),
        _ => problem,
    });
}
