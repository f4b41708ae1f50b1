//! `key show` and `key export`: what is said and given away without the password.

use super::error::KeyError;
use super::place::{Place, default_dir};
use super::record::{self, Backup};
use super::{ExportArgs, ShowArgs, files};
use crate::cert::words as time_words;
use crate::cli::Output;
use crate::config::Request;
use serde_json::{Value, json};
use shoalway_overlay_proto::identity::Delegation;
use shoalway_types::wallet::Address;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// What is known of a wallet without its password.
struct Facts {
    place: Place,
    address: Option<Address>,
    backup: Option<Backup>,
    delegation: Option<Delegation>,
}

/// Shows one wallet, or all of the directory.
pub(super) fn show(args: &ShowArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let keys = args.keys.as_deref();
    let places = match &args.name {
        Some(name) => vec![Place::named(name, keys, request)?],
        None => all(keys.unwrap_or(&default_dir(&request.surroundings)))?,
    };
    let all = places.into_iter().map(Facts::of).collect::<Result<Vec<_>, _>>()?;
    let answer = if output.is_json() {
        output.json(&json!({ "wallets": all.iter().map(Facts::to_json).collect::<Vec<_>>() }))
    } else if args.address_only {
        let lines = all.iter().filter_map(|facts| facts.address).map(|address| format!("{address}\n"));
        output.text(&lines.collect::<String>())
    } else if all.is_empty() {
        output.text("no wallets; `shoalway key new` makes one\n")
    } else {
        output.text(&all.iter().map(Facts::to_text).collect::<String>())
    };
    answer.map_err(KeyError::Answer)
}

/// Gives away the encrypted key.
pub(super) fn export(args: &ExportArgs, request: &Request, output: &Output) -> Result<(), KeyError> {
    let place = args.wallet.place(request)?;
    let keystore = record::keystore(&place)?;
    if args.words {
        return Err(KeyError::NoWords { path: place.keystore().to_owned() });
    }
    let text = keystore.to_json();
    let Some(path) = &args.out else {
        // A keystore is JSON in any case.
        return output.text(&text).map_err(KeyError::Answer);
    };
    files::create(path, &text)?;
    let answer = if output.is_json() {
        output.json(&json!({ "ok": true, "keystore": path }))
    } else {
        output.text(&format!("the encrypted key is in {}; its password is the same\n", path.display()))
    };
    answer.map_err(KeyError::Answer)
}

impl Facts {
    fn of(place: Place) -> Result<Self, KeyError> {
        let address = record::keystore(&place)?.address();
        let (backup, delegation) = (Backup::read(&place)?, record::delegation(&place)?);
        Ok(Self { place, address, backup, delegation })
    }

    fn proven(&self) -> Option<u64> {
        self.backup.as_ref().and_then(|backup| backup.proven)
    }

    fn to_json(&self) -> Value {
        let delegation = self.delegation.as_ref().map(|delegation| {
            let terms = &delegation.terms;
            json!({
                "roles": terms.roles.names().collect::<Vec<_>>(),
                "serial": terms.serial,
                "not_before": terms.not_before.0,
                "not_after": terms.not_after.0,
                "withdrawn": terms.is_withdrawal(),
            })
        });
        json!({
            "name": self.place.name(),
            "address": self.address.map(|address| address.to_string()),
            "keystore": self.place.keystore(),
            "backup_proven": self.proven(),
            "delegation": delegation,
        })
    }

    fn to_text(&self) -> String {
        let address =
            self.address.map_or_else(|| "(not in the file)".to_owned(), |address| address.to_string());
        let backup = match (&self.backup, self.proven()) {
            (_, Some(at)) => format!("proven {}", time(at)),
            (Some(_), None) => "not proven: shoalway key verify-backup".to_owned(),
            (None, None) => "made elsewhere, not proven".to_owned(),
        };
        let delegation = match &self.delegation {
            None => "none: shoalway key rotate".to_owned(),
            Some(Delegation { terms, .. }) if terms.is_withdrawal() => {
                format!("withdrawn, serial {}", terms.serial)
            }
            Some(Delegation { terms, .. }) => {
                format!("{}, serial {}, until {}", terms.roles, terms.serial, time(terms.not_after.0))
            }
        };
        let (name, path) = (self.place.name(), self.place.keystore().display());
        format!(
            "{name}\n  address     {address}\n  key         {path}\n  backup      {backup}\n  delegation  {delegation}\n"
        )
    }
}

fn time(seconds: u64) -> String {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map(time_words).unwrap_or_default()
}

/// The keystores of a directory, by name; none when it does not exist.
fn all(dir: &Path) -> Result<Vec<Place>, KeyError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(KeyError::file("read", dir)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(KeyError::file("read", dir))?.path());
    }
    paths.sort();
    Ok(paths.iter().filter_map(|path| Place::of_keystore(path).ok()).collect())
}
