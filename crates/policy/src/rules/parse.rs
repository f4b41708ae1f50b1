//! Reads one rule: words, verb, matches, option. Goes on after a mistake, so that all are told at once.
//!
//! The language stands in `rules.rs`. Not here: mistakes that show only across rules (`lint`).

mod overlay;
mod values;
mod words;

use std::ops::Range;

use super::matcher::{Matcher, Subject};
use super::{Names, Rule, RuleError, RuleErrorKind};
use crate::decision::{ExitId, OverlayId, OverlayWish, Verb};
use crate::suggest::did_you_mean;
use words::Word;

const VERBS: [&str; 5] = ["block", "direct", "allow", "via", "overlay"];
const VERBS_HELP: &str = "a rule begins with one of `block`, `direct`, `allow`, `via:NAME`, `overlay`";
const SAY: &str = "say";
/// Everything a word after the verb may begin with.
const KEYS: [&str; 10] = ["all", "private", "ip", "domain", "list", "port", "method", "client", "user", SAY];
const MATCHES_HELP: &str = "matches are `all`, `private`, a network such as `10.0.0.0/8`, `ip:`, `domain:`, `list:`, \
     `port:`, `method:`, `client:`, `user:`; the option is `say:'text'`";

/// Reads a rule; what is wrong goes to `errors`, and the rule is then `None`.
pub(super) fn rule(
    index: usize,
    line: &str,
    names: &Names<'_>,
    wishes: &mut Vec<OverlayWish>,
    errors: &mut Vec<RuleError>,
) -> Option<Rule> {
    let before = errors.len();
    let mut reader = Reader { rule: index, names, wishes, errors };
    let (verb, matchers, say) = reader.rule(line)?;
    if reader.errors.len() > before {
        return None;
    }
    Some(Rule { verb: verb?, matchers: matchers.into(), say: say.map(Into::into), line: line.into() })
}

/// What is being read, and where mistakes go.
struct Reader<'a> {
    rule: usize,
    names: &'a Names<'a>,
    wishes: &'a mut Vec<OverlayWish>,
    errors: &'a mut Vec<RuleError>,
}

/// The parts of a rule; the verb is missing when it was not understood.
type Parts = (Option<Verb>, Vec<Matcher>, Option<String>);

impl Reader<'_> {
    fn rule(&mut self, line: &str) -> Option<Parts> {
        let words = match words::split(line) {
            Ok(words) => words,
            Err(quote) => {
                let help = "end the text with a single quote; write a quote inside it twice";
                self.error(quote, RuleErrorKind::UnclosedQuote, "the quote is not closed", help);
                return None;
            }
        };
        let Some((first, rest)) = words.split_first() else {
            self.error(
                0..line.len(),
                RuleErrorKind::Empty,
                "the rule is empty",
                "write a verb and a match, or drop the line",
            );
            return None;
        };
        let verb = self.verb(*first);
        let mut matchers = Vec::new();
        let mut say = None;
        for word in rest {
            match word.strip_prefix("say:") {
                Some(text) => self.say(*word, text, *first, &mut say),
                None => matchers.extend(self.matcher(*word)),
            }
        }
        let matches = rest.iter().any(|word| word.strip_prefix("say:").is_none());
        if !matches && VERBS.contains(&first.stem()) {
            let help = format!("write `{} all` if everything is meant", first.text);
            self.error(
                first.span(),
                RuleErrorKind::NoMatch,
                "the rule says what to do, but not with what",
                help,
            );
        }
        Some((verb, matchers, say))
    }

    fn verb(&mut self, word: Word<'_>) -> Option<Verb> {
        match word.text {
            "block" => Some(Verb::Block),
            "direct" => Some(Verb::Direct),
            "allow" => Some(Verb::Allow),
            "overlay" if self.names.overlay => Some(Verb::Overlay(OverlayId::default())),
            text if text == "overlay" || (text.starts_with("overlay:") && !self.names.overlay) => {
                let help = "configure [overlay], or take another verb";
                self.error(
                    word.span(),
                    RuleErrorKind::OverlayNotConfigured,
                    "overlay is not configured",
                    help,
                );
                None
            }
            text if text.starts_with("overlay:") => self.overlay(word),
            text => match word.strip_prefix("via:") {
                Some(name) => self.exit(word, name),
                None if text == "via" => {
                    let help = "write the exit's name after it, as in `via:NAME`";
                    self.error(word.span(), RuleErrorKind::MissingValue, "`via` needs an exit", help);
                    None
                }
                None => {
                    let stem = text.split(':').next().unwrap_or_default();
                    let help = did_you_mean(stem, VERBS, VERBS_HELP);
                    self.error(word.span(), RuleErrorKind::UnknownVerb, format!("`{text}` is no verb"), help);
                    None
                }
            },
        }
    }

    fn exit(&mut self, word: Word<'_>, name: Word<'_>) -> Option<Verb> {
        if name.text.is_empty() {
            let help = "write the exit's name after it, as in `via:NAME`";
            self.error(word.span(), RuleErrorKind::MissingValue, "`via:` needs an exit", help);
            return None;
        }
        let exits = self.names.exits;
        let found = exits.iter().position(|exit| *exit == name.text).and_then(|at| u16::try_from(at).ok());
        if found.is_none() {
            let help =
                did_you_mean(name.text, exits.iter().copied(), &one_of("exits", exits.iter().copied()));
            let message = format!("there is no exit `{}`", name.text);
            self.error(name.span(), RuleErrorKind::UnknownExit, message, help);
        }
        found.map(|id| Verb::Via(ExitId(id)))
    }

    /// The text of `say:'text'`.
    fn say(&mut self, word: Word<'_>, text: Word<'_>, verb: Word<'_>, say: &mut Option<String>) {
        let inner = text.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let Some(inner) = inner.filter(|inner| !inner.replace("''", "").contains('\'')) else {
            let help = "put the text in single quotes, as in `say:'free after five'`";
            self.error(text.span_or(word), RuleErrorKind::BadValue, "the text of `say:` is not quoted", help);
            return;
        };
        if inner.trim().is_empty() {
            let help = "write the text for the blocked page, or drop `say:`";
            self.error(text.span(), RuleErrorKind::MissingValue, "the text of `say:` is empty", help);
        } else if inner.chars().any(char::is_control) {
            let help = "write it in one line";
            self.error(
                text.span(),
                RuleErrorKind::BadValue,
                "the text of `say:` has control characters",
                help,
            );
        } else if say.is_some() {
            let help = "keep one of them";
            self.error(word.span(), RuleErrorKind::MisplacedOption, "`say:` stands twice", help);
        } else if verb.text != "block" && VERBS.contains(&verb.stem()) {
            let message = format!("nobody would read this: `{}` shows no page", verb.text);
            self.error(word.span(), RuleErrorKind::MisplacedOption, message, "`say:` goes with `block` only");
        }
        say.get_or_insert_with(|| inner.replace("''", "'"));
    }

    fn matcher(&mut self, word: Word<'_>) -> Option<Matcher> {
        let (negated, plain) = match word.strip_prefix("!") {
            Some(plain) => (true, plain),
            None => (false, word),
        };
        let subject = match plain.text {
            "all" if negated => {
                let help = "write what is meant instead, or drop the rule";
                self.error(word.span(), RuleErrorKind::NeverMatches, "`!all` matches nothing", help);
                return None;
            }
            "all" => Subject::All,
            "private" => Subject::Private,
            _ if plain.looks_like_address() => Subject::Address(self.networks(plain)?),
            _ => match plain.split_key() {
                Some((key, value)) => self.subject(key, value)?,
                None => return self.no_match(plain),
            },
        };
        Some(Matcher { negated, subject })
    }

    /// A word without a colon that is no match.
    fn no_match(&mut self, word: Word<'_>) -> Option<Matcher> {
        let text = word.text;
        if text.is_empty() {
            self.error(
                word.span_with_front(),
                RuleErrorKind::MissingValue,
                "`!` needs a match",
                "write it without a space, as in `!private`",
            );
        } else if KEYS.contains(&text) {
            let help = format!("write `{text}:` and a value");
            self.error(word.span(), RuleErrorKind::MissingValue, format!("`{text}` needs a value"), help);
        } else if VERBS.contains(&text) {
            let help = "the verb stands in front, and there is one only";
            self.error(
                word.span(),
                RuleErrorKind::UnknownMatch,
                format!("`{text}` is a verb, not a match"),
                help,
            );
        } else if text.split(',').any(|part| KEYS.contains(&part)) {
            let help = "a comma joins values of one match: write a rule for each instead";
            self.error(
                word.span(),
                RuleErrorKind::BadValue,
                format!("`{text}` joins matches with a comma"),
                help,
            );
        } else if text.contains('.') || text.contains('*') {
            let help = format!("write `domain:{text}` for a name");
            self.error(word.span(), RuleErrorKind::UnknownMatch, format!("`{text}` is no match"), help);
        } else {
            let help = did_you_mean(text, KEYS, MATCHES_HELP);
            self.error(word.span(), RuleErrorKind::UnknownMatch, format!("`{text}` is no match"), help);
        }
        None
    }

    fn unknown_key(&mut self, key: Word<'_>) {
        if key.text == SAY {
            let help = "drop the `!`";
            self.error(
                key.span(),
                RuleErrorKind::MisplacedOption,
                "`say:` is an option and cannot be negated",
                help,
            );
        } else if key.text == "all" || key.text == "private" {
            let help = format!("write `{}` alone", key.text);
            self.error(key.span(), RuleErrorKind::BadValue, format!("`{}` takes no value", key.text), help);
        } else {
            let help = did_you_mean(key.text, KEYS, MATCHES_HELP);
            self.error(key.span(), RuleErrorKind::UnknownMatch, format!("`{}:` is no match", key.text), help);
        }
    }

    fn error(
        &mut self,
        span: Range<usize>,
        kind: RuleErrorKind,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), Some(help.into()));
        self.errors.push(RuleError { rule: self.rule, span, kind, message, help });
    }
}

/// `there are: a, b`, cut short after ten.
fn one_of<'a>(what: &str, known: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<&str> = known.take(11).collect();
    match shown.get(..10) {
        None if shown.is_empty() => format!("there are no {what}"),
        None => format!("there are these {what}: {}", shown.join(", ")),
        Some(ten) if shown.len() > ten.len() => {
            format!("there are these {what} and more: {}", ten.join(", "))
        }
        Some(ten) => format!("there are these {what}: {}", ten.join(", ")),
    }
}
