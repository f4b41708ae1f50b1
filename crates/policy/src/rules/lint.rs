//! Mistakes that show only when all rules are seen: those that nothing ever reaches.
//!
//! Only a rule that takes everything makes later ones unreachable here; whether one set of names holds another is
//! not asked.

use super::{Rule, RuleError, RuleErrorKind};

/// Reports each rule after one that takes everything. Rules with mistakes of their own are `None`, and left out.
pub(super) fn unreachable(rules: &[Option<Rule>], errors: &mut Vec<RuleError>) {
    let Some(taker) = rules.iter().position(|rule| rule.as_ref().is_some_and(Rule::takes_everything)) else {
        return;
    };
    let number = taker + 1;
    for (index, rule) in rules.iter().enumerate().skip(number) {
        let Some(rule) = rule else { continue };
        let start = rule.line.len() - rule.line.trim_start().len();
        errors.push(RuleError {
            rule: index,
            span: start..rule.line.trim_end().len(),
            kind: RuleErrorKind::Unreachable,
            message: format!("this rule can never match: rule {number} takes everything"),
            help: Some(format!("move it above rule {number}")),
        });
    }
}
