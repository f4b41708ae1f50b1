//! Licences, sources and banned crates of everything in the build, by the lists in `deny.toml`.
//!
//! Reads SPDX expressions (annex D of the SPDX specification 2.3) with the old `/` for `OR`.

use crate::metadata::Package;
use crate::steps::root;
use anyhow::{Context, Result};
use std::iter::Peekable;
use toml::Table;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One finding per package that `deny.toml` does not allow.
pub(crate) fn check(packages: &[Package]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root()?.join("deny.toml")).context("cannot read deny.toml")?;
    let rules: Table = text.parse().context("deny.toml")?;
    let allowed = strings(&rules, "licenses", "allow");
    let banned = banned(&rules);
    let mut wrong = Vec::new();
    for package in packages {
        let Package { name, version, license, source, .. } = package;
        if !is_allowed(license, &allowed) {
            wrong.push(format!("{name} {version} has a licence that deny.toml does not allow: {license}"));
        }
        if banned.contains(name) {
            wrong.push(format!("{name} {version} is banned by deny.toml"));
        }
        if source.as_ref().is_some_and(|source| source != CRATES_IO) {
            wrong.push(format!("{name} {version} does not come from crates.io"));
        }
    }
    Ok(wrong)
}

fn strings(rules: &Table, section: &str, key: &str) -> Vec<String> {
    let list = rules.get(section).and_then(|table| table.get(key)).and_then(|value| value.as_array());
    list.into_iter().flatten().filter_map(|value| value.as_str()).map(str::to_owned).collect()
}

/// `deny = [{ crate = "openssl", reason = ".." }]`.
fn banned(rules: &Table) -> Vec<String> {
    let list = rules.get("bans").and_then(|table| table.get("deny")).and_then(|value| value.as_array());
    let names = list.into_iter().flatten().filter_map(|entry| entry.get("crate")?.as_str());
    names.map(str::to_owned).collect()
}

/// Whether an expression can be met with the allowed licences. What cannot be read is not allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) == Some(true) && words.next().is_none()
}

fn any_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> Option<bool> {
    let mut met = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed)?;
    }
    Some(met)
}

fn all_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed)?;
    }
    Some(met)
}

fn one<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, allowed: &[String]) -> Option<bool> {
    match words.next()? {
        "(" => {
            let met = any_of(words, allowed)?;
            words.next_if_eq(&")").map(|_| met)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name => {
            let name = match words.next_if_eq(&"WITH") {
                Some(_) => format!("{name} WITH {}", words.next()?),
                None => name.to_owned(),
            };
            Some(allowed.contains(&name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_when_the_list_can_meet_it() {
        let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
        let check = |expression: &str, wanted: bool| {
            assert_eq!(is_allowed(expression, &allowed), wanted, "{expression}");
        };
        check("MIT", true);
        check("MIT/Apache-2.0", true);
        check("GPL-3.0-only", false);
        check("GPL-3.0-only OR MIT", true);
        check("GPL-3.0-only AND MIT", false);
        check("ISC AND (Apache-2.0 OR GPL-3.0-only)", true);
        check("MIT OR GPL-3.0-only AND ISC", true);
        check("Apache-2.0 WITH LLVM-exception", false);
        check("Apache-2.0 WITH LLVM-exception OR MIT", true);
        check("", false);
        check("MIT OR", false);
        check("(MIT", false);
        check("MIT ISC", false);
    }
}
