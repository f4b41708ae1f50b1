//! The example files load, and the commented one names every key with its default.

use super::super::at::Place;
use super::super::shape::{Kind, Shape};
use super::super::{Ending, Request, load};
use super::{load_with, surroundings};
use std::collections::BTreeSet;

const FULL: &str = include_str!("../../../../../examples/shoalway.toml");

/// The file with its commented keys switched on: the defaults, or the examples instead.
fn uncommented(examples: bool) -> String {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for line in FULL.lines() {
        let is_key =
            line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
        if line.starts_with("#[") {
            seen.clear();
        }
        let is_example = line.trim_end().ends_with("# example");
        if !is_key {
            lines.push(line.to_owned());
            if line.starts_with('[') {
                seen.clear();
            }
            continue;
        }
        let key = line[1..].split('=').next().unwrap_or_default().trim().to_owned();
        if is_example == examples && seen.insert(key) {
            lines.push(line[1..].to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn the_full_example_is_equal_to_the_defaults() {
    let defaults = load(&Request::default()).unwrap_or_else(|report| panic!("{report:?}"));
    for text in [FULL.to_owned(), uncommented(false)] {
        let loaded = load_with(&text, &[], surroundings());
        let loaded = loaded.unwrap_or_else(|report| panic!("{}", report.to_text(Ending::Check)));
        assert!(loaded.report.problems().is_empty());
        let values = |loaded: &super::super::Loaded| -> Vec<(String, String)> {
            let entries = loaded.view.entries().iter().filter(|entry| entry.key != "version");
            entries
                .map(|entry| (format!("{}.{}", entry.table.join("."), entry.key), entry.value.to_string()))
                .collect()
        };
        assert_eq!(values(&loaded), values(&defaults));
        assert_eq!(loaded.settings.fingerprints, defaults.settings.fingerprints);
    }
}

#[test]
fn the_full_example_shows_every_default_and_names_every_key() {
    let shown = uncommented(false);
    let examples = uncommented(true);
    let named = |text: &str, path: &str| {
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut at = vec![toml::Value::Table(table)];
        for part in path.split('.') {
            let below = |value: &toml::Value| match part {
                "NAME" => value.as_table().into_iter().flat_map(|table| table.values().cloned()).collect(),
                part => value.get(part).cloned().into_iter().collect::<Vec<_>>(),
            };
            at = at.iter().flat_map(below).collect();
        }
        !at.is_empty()
    };
    for (path, shape) in Shape::of_file().paths() {
        // Sections that are a choice of their own have their defaults in the example.
        let is_optional = ["overlay.", "node."].iter().any(|section| path.starts_with(section));
        if shape.default.is_some() && !path.contains("NAME") && !is_optional {
            assert!(named(&shown, &path), "{path} is not shown with its default");
        } else {
            assert!(named(&shown, &path) || named(&examples, &path), "{path} is not named");
        }
    }
}

#[test]
fn every_choice_and_example_of_the_full_file_is_accepted() {
    let files = super::overlay::with_network(surroundings(), "")
        .with_file("ca.pem", "-----BEGIN CERTIFICATE-----\n")
        .with_file("/srv/www", "");
    // Of what excludes each other, one.
    let text = uncommented(true).replace(", to = \"http://127.0.0.1:8081\"", "");
    let text: String =
        text.lines().filter(|line| !line.contains("www.ocsp")).map(|line| format!("{line}\n")).collect();
    let loaded = load_with(&text, &[], files);
    let loaded = loaded.unwrap_or_else(|report| panic!("{}", report.to_text(Ending::Check)));
    let settings = &loaded.settings;
    assert_eq!((settings.exits.len(), settings.sites.len(), settings.streams.len()), (1, 3, 3));
    for (path, shape) in Shape::of_file().paths() {
        let Kind::Choice(words) = &shape.kind else { continue };
        for (word, meaning) in words {
            assert!(!meaning.is_empty(), "{path} does not say what {word} means");
        }
    }
}

#[test]
fn the_small_examples_load_without_a_warning() {
    let files = surroundings().with_file("malware.txt", "malware.example\n");
    for (name, text) in [
        ("minimal", include_str!("../../../../../examples/minimal.toml")),
        ("home", include_str!("../../../../../examples/home.toml")),
        ("company", include_str!("../../../../../examples/company.toml")),
        ("reverse", include_str!("../../../../../examples/reverse.toml")),
        ("homelab", include_str!("../../../../../examples/homelab.toml")),
    ] {
        let loaded = load_with(text, &[], files.clone());
        let loaded = loaded.unwrap_or_else(|report| panic!("{name}: {}", report.to_text(Ending::Check)));
        let warnings: Vec<&Place> = loaded.report.problems().iter().map(|problem| &problem.place).collect();
        assert!(warnings.is_empty(), "{name}: {}", loaded.report.to_text(Ending::Check));
    }
}
