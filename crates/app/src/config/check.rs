//! From what was written to what holds: checks every section and notes all mistakes at once.
//!
//! Each part checks everything it has before it gives up, and what could not be read earlier (`lost`) is never
//! called missing. It opens the files that are named, and nothing else. Not here: how a problem is shown.

mod access;
mod admin;
mod bounds;
mod certificates;
mod compress;
mod dns;
mod exits;
mod fallback;
mod limits;
mod listeners;
mod named_files;
mod node;
mod overlay;
mod places;
mod routes;
mod rules;
mod sites;
mod streams;
mod trace;
mod units;
mod upstreams;

use super::at::{At, NOWHERE, Place};
use super::catalogue::{Code, Severity};
use super::file::{File, ProxySection};
use super::literal;
use super::report::Problem;
use super::settings::{AccessLog, Fingerprints, LogSettings, Settings};
use super::source::Sources;
use super::substitute::Origins;
use super::surroundings::Surroundings;
use places::Places;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// What a check may look at, and where it notes what it finds.
pub struct Check<'a> {
    /// The texts.
    pub sources: &'a Sources,
    /// What was written, before anything was taken out of it.
    pub written: &'a DeTable<'a>,
    /// Where the name of the section stands that is checked now.
    pub section: Place,
    /// Where substituted parts came from.
    pub origins: &'a Origins,
    /// Variables and files.
    pub surroundings: &'a Surroundings,
    /// Keys that somebody wrote, but that could not be read.
    pub lost: &'a BTreeSet<String>,
    /// Whether there is a forward proxy: somebody wrote `[proxy]`, or nothing else would listen.
    pub forward: bool,
    /// What was found.
    pub problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a problem; one about what nobody wrote stands where its section is named.
    fn add(&mut self, mut problem: Problem) {
        if problem.place == NOWHERE {
            problem.place = self.section.clone();
        }
        self.problems.push(problem);
    }

    /// The section with this path is checked from now on.
    fn enter(&mut self, path: &[&str]) {
        let (mut table, mut place) = (Some(self.written), NOWHERE);
        for part in path {
            let Some((key, value)) = table.and_then(|table| table.get_key_value(*part)) else { break };
            place = key.span();
            table = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
        }
        self.section = place;
    }

    fn is_lost(&self, key: &str) -> bool {
        self.lost.contains(key)
    }

    /// The file a value names, relative to the file the value stands in.
    fn path(&self, at: &At<String>) -> PathBuf {
        self.dir(at).join(at.get())
    }

    /// The directory of the file a value stands in.
    fn dir(&self, at: &At<String>) -> PathBuf {
        self.sources.of(&at.place()).map(|source| source.dir().to_owned()).unwrap_or_default()
    }

    /// The place of a part of a string's value.
    fn inside(&self, at: &At<String>, part: Range<usize>) -> Place {
        if !at.is_written() {
            return at.place();
        }
        let place = at.place();
        let start = self.origins.before(&place, part.start);
        let end = self.origins.before(&place, part.end).max(start);
        literal::inside(self.sources, &place, start..end)
    }

    fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.code.severity() == Severity::Error)
    }
}

/// The settings, or nothing when there is an error among the problems noted in `check`.
pub fn check(file: &File, check: &mut Check<'_>) -> Option<Settings> {
    check.enter(&["proxy"]);
    let tls = listeners::tls(file.proxy.tls.as_ref(), check);
    let access = access::access(&file.proxy, check);
    let mut places = Places::default();
    let listeners = if check.forward {
        let reverse = !file.sites.is_empty() || !file.streams.is_empty() || file.node.is_some();
        listeners::listeners(&file.proxy, tls.settings.as_ref(), &access, reverse, &mut places, check)
    } else {
        Vec::new()
    };
    let mut content = Vec::new();
    check.enter(&["acme"]);
    let acme = certificates::defaults(&file.acme, &mut content, check);
    let sections = node::with_site(&file.sites, file.node.as_ref(), check);
    let sites = sites::sites(&sections, &acme, &mut places, &mut content, check);
    check.enter(&["acme"]);
    certificates::used(&file.acme, &sites, check);
    let streams = streams::streams(&file.streams, &mut places, &mut content, check);
    check.enter(&["admin"]);
    let admin = admin::admin(&file.admin, &places, check);
    let exits = exits::exits(&file.exits, &listeners, check);
    let mut overlay_content = Vec::new();
    let overlay =
        file.overlay.as_ref().and_then(|section| overlay::overlay(section, &mut overlay_content, check));
    let mut node_content = Vec::new();
    let node = file.node.as_ref().and_then(|section| node::node(section, &mut node_content, check));
    let rules = rules::rules(file, check);
    check.enter(&["dns"]);
    let dns = dns::servers(&file.dns, check);
    check.enter(&["limits"]);
    let limits = limits::limits(&file.limits, check);
    check.enter(&["log"]);
    let log = log(file, check);
    check.enter(&["trace"]);
    let trace = trace::trace(&file.trace, check);
    let contents = Contents {
        listeners: &tls.content,
        users: &access.users_text,
        lists: &rules.content,
        sites: &content,
        overlay: &overlay_content,
        node: &node_content,
    };
    let fingerprints = fingerprints(file, &contents);
    if check.has_errors() {
        return None;
    }
    Some(Settings {
        shards: file.runtime.shards.as_ref().and_then(|at| usize::try_from(*at.get()).ok()),
        listeners: listeners.into_iter().map(|listener| listener.settings).collect(),
        sites,
        streams,
        certificates: acme.storage,
        clients: access.clients,
        users: access.users,
        realm: file.proxy.realm.get().clone(),
        level: *file.proxy.level.get(),
        reach: access.reach,
        rules: rules.rules?,
        exits,
        overlay: overlay.map(Arc::new),
        node: node.map(Arc::new),
        dns,
        limits,
        log,
        trace,
        admin,
        fingerprints,
    })
}

/// What the named files hold.
struct Contents<'a> {
    listeners: &'a [String],
    users: &'a str,
    lists: &'a [String],
    sites: &'a [String],
    overlay: &'a [String],
    node: &'a [String],
}

/// Of each part, what was written and what the files it names hold.
fn fingerprints(file: &File, contents: &Contents<'_>) -> Fingerprints {
    let proxy = &file.proxy;
    let listeners = (json(&proxy.listen), json(&proxy.tls), json(&proxy.auth), contents.listeners);
    Fingerprints {
        listeners: fingerprint(&listeners),
        access: fingerprint(&(access_text(proxy), contents.users)),
        rules: fingerprint(&(
            json(&file.rules),
            json(&file.lists),
            contents.lists,
            file.exits.keys().collect::<Vec<_>>(),
        )),
        reverse: fingerprint(&(
            json(&file.sites),
            json(&file.streams),
            json(&file.acme),
            json(&file.node),
            contents.sites,
        )),
        exits: fingerprint(&json(&file.exits)),
        overlay: fingerprint(&(json(&file.overlay), contents.overlay)),
        node: fingerprint(&(json(&file.node), contents.node)),
        dns: fingerprint(&json(&file.dns)),
        limits: fingerprint(&json(&file.limits)),
        log: fingerprint(&json(&file.log)),
        admin: fingerprint(&json(&file.admin)),
    }
}

fn log(file: &File, check: &Check<'_>) -> LogSettings {
    let log = &file.log;
    let access = match log.access.get().as_str() {
        "off" => AccessLog::Off,
        "stdout" => AccessLog::Stdout,
        _ => AccessLog::File(check.path(&log.access)),
    };
    LogSettings { access, format: *log.format.get(), privacy: *log.privacy.get(), level: *log.level.get() }
}

/// What stands in `[proxy]` about access, without the listeners.
fn access_text(proxy: &ProxySection) -> [String; 6] {
    let ProxySection { listen: _, tls: _, clients, auth, level, reach, users, realm } = proxy;
    [json(clients), json(auth), json(level), json(reach), json(users), json(realm)]
}

fn json(section: &impl serde::Serialize) -> String {
    // These structs hold strings, numbers and tables only, which always have a JSON form.
    serde_json::to_string(section).unwrap_or_default()
}

fn fingerprint(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// Notes a value that is none of the known words, or belongs to a later version.
fn unknown_word(key: &str, at: &At<String>, known: &[&str], later: &[&str]) -> Problem {
    let word = at.get();
    if later.contains(&word.as_str()) {
        let problem =
            Problem::new(Code::Later, at.place(), format!("`{word}` in `{key}` is not in this version"));
        return problem.label(format!("known: {}", known.join(", ")));
    }
    let label = match super::report::nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.join(", ")),
    };
    Problem::new(Code::UnknownWord, at.place(), format!("`{word}` is no `{key}`")).label(label)
}
