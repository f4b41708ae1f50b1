//! What `cert list` shows: every certificate in the storage, whether a proxy is running or not.

use super::chain::Chain;
use super::error::CertError;
use super::name::CertName;
use super::record::{Complaint, Record};
use super::storage::{self, Storage};
use super::{moment, renewal, seconds, words};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// One name with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// Folder of the authority: `local`, or host and path of its directory.
    pub authority: String,
    /// `valid`, `expired`, `not yet valid` or `missing`.
    pub state: &'static str,
    /// Until when the certificate is valid.
    pub until: Option<SystemTime>,
    /// When it is tried next: renewed, or ordered again.
    pub next: SystemTime,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// What went wrong last.
    pub error: Option<Complaint>,
}

impl Listed {
    pub(super) fn new(
        name: &CertName,
        authority: &str,
        chain: Option<&Chain>,
        record: &Record,
        now: SystemTime,
    ) -> Self {
        let state = match chain {
            None => "missing",
            Some(chain) if chain.is_valid(now) => "valid",
            Some(chain) if now < chain.validity.from => "not yet valid",
            Some(_) => "expired",
        };
        let wanted = match chain {
            Some(chain) if state == "valid" => renewal::when(chain.validity, record.window, chain.seed),
            Some(_) | None => now,
        };
        Self {
            name: name.to_string(),
            authority: authority.to_owned(),
            state,
            until: chain.map(|chain| chain.validity.until),
            next: wanted.max(moment(record.not_before.unwrap_or(0))).max(now),
            failures: record.failures,
            error: record.error.clone(),
        }
    }

    /// For programs. Times are seconds since 1970.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let error = self.error.as_ref().map(
            |error| json!({ "code": error.code, "text": error.text, "hint": error.hint, "at": error.at }),
        );
        json!({
            "name": self.name,
            "authority": self.authority,
            "state": self.state,
            "until": self.until.map(seconds),
            "next": seconds(self.next),
            "failures": self.failures,
            "error": error,
        })
    }

    /// For people: a line, and under it what went wrong.
    #[must_use]
    pub fn to_text(&self) -> String {
        let until = self.until.map(|until| format!(" until {}", words(until))).unwrap_or_default();
        let Self { name, authority, state, next, .. } = self;
        let mut text = format!("{name}  {state}{until}, next attempt {}, by {authority}\n", words(*next));
        if let Some(error) = &self.error {
            let times = if self.failures > 1 { format!(" ({} times)", self.failures) } else { String::new() };
            text += &format!("  {}{times}: {}\n  = {}\n", error.code, error.text, error.hint);
        }
        text
    }
}

/// Everything in the storage, by authority and name. A file that cannot be used is shown as such; nothing is changed.
///
/// # Errors
/// [`CertError::Storage`] when the directory itself cannot be read.
pub fn list(storage: &Storage, now: SystemTime) -> Result<Vec<Listed>, CertError> {
    let mut all = Vec::new();
    for (folder, files) in storage.folders()? {
        let stem = |file: &String| {
            let stem = file.strip_suffix(".pem").or_else(|| file.strip_suffix(".json"))?;
            // Names of one label cannot be ordered, so these are never names.
            if ["account", "ca"].contains(&stem) { None } else { CertName::of_file(stem) }
        };
        let names: BTreeSet<CertName> = files.iter().filter_map(stem).collect();
        all.extend(names.iter().map(|name| listed(storage, &folder, name, now)));
    }
    Ok(all)
}

fn listed(storage: &Storage, folder: &str, name: &CertName, now: SystemTime) -> Listed {
    let path = storage.pem(folder, name);
    let read =
        storage::read(&path).and_then(|pem| pem.map(|pem| Chain::of_file(&path, &pem, name)).transpose());
    let (mut record, mut wrong) = match Record::read(&storage.json(folder, name)) {
        Ok(record) => (record, None),
        Err(error) => (Record::default(), Some(error)),
    };
    let chain = read.unwrap_or_else(|error| {
        wrong = Some(error);
        None
    });
    if let Some(error) = wrong {
        record.complain(&error, now);
    }
    Listed::new(name, folder, chain.as_ref(), &record, now)
}
