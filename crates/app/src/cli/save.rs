//! `proxy`: checks what its flags come to, then writes it as a file or hands it over to be run.
//!
//! Passwords of `-L` become bcrypt hashes in a file of users, which exists in memory alone unless saved. Saved
//! files are for their owner only, and none is ever overwritten.

use super::{Exit, Outcome, Output, ProxyArgs, Service, Translated, show_report, translate};
use crate::config::{Ending, Request, load};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the configuration that exists in memory alone.
const IN_MEMORY: &str = "(flags)";
/// Cost of the bcrypt hashes: 2 to the power of it rounds, as `htpasswd -B -C 10` would make.
const COST: u32 = 10;

/// Does the command `proxy`.
pub(super) fn proxy(args: &ProxyArgs, request: Request, output: &Output) -> io::Result<Outcome> {
    let translated = match translate(&args.listen, &args.forward) {
        Ok(translated) => translated,
        Err(errors) => {
            output.failure(&errors.join("\n       "), "shoalway proxy --help shows the forms")?;
            return Ok(Outcome::Done(Exit::Usage));
        }
    };
    let path = args.save.as_deref().filter(|path| *path != Path::new("-"));
    let users = users_path(path);
    let users_text = match hashed(&translated) {
        Ok(text) => text,
        Err(error) => {
            output.failure(&format!("cannot hash a password: {error}"), "bcrypt takes at most 72 octets")?;
            return Ok(Outcome::Done(Exit::Failed));
        }
    };
    let name = users.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let toml = translated.with_users(&name);
    let file = path.map_or_else(|| PathBuf::from(IN_MEMORY), Path::to_owned);
    let surroundings = request.surroundings.clone().with_file(&file, toml.as_str());
    let surroundings = if users_text.is_empty() {
        surroundings
    } else {
        surroundings.with_file(&users, users_text.as_str())
    };
    let request = Request { file: Some(file), surroundings, ..request };
    if let Err(report) = load(&request) {
        show_report(&report, Ending::Start, output)?;
        return Ok(Outcome::Done(Exit::BadConfig));
    }
    let Some(wanted) = &args.save else { return Ok(Outcome::Service(Service::Run(Box::new(request)))) };
    let Some(path) = path else {
        output.text(&toml)?;
        if !users_text.is_empty() {
            output.complain(&format!("note: {name} must hold:\n{users_text}"))?;
        }
        return Ok(Outcome::Done(Exit::Ok));
    };
    let users = (!users_text.is_empty()).then_some((users.as_path(), users_text.as_str()));
    let written = [Some((path, toml.as_str())), users]
        .into_iter()
        .flatten()
        .try_for_each(|(path, text)| write(path, text));
    if let Err((path, error)) = written {
        output
            .failure(&format!("cannot write {}: {error}", path.display()), "give another with --save FILE")?;
        return Ok(Outcome::Done(Exit::Failed));
    }
    if output.is_json() {
        output.json(&serde_json::json!({ "ok": true, "file": wanted.display().to_string() }))?;
    } else {
        output.text(&format!("wrote {0}; start it with: shoalway run -c {0}\n", path.display()))?;
    }
    Ok(Outcome::Done(Exit::Ok))
}

/// The file of users beside a configuration file.
fn users_path(file: Option<&Path>) -> PathBuf {
    file.map_or_else(|| PathBuf::from("(flags).htpasswd"), |file| file.with_extension("htpasswd"))
}

fn hashed(translated: &Translated) -> Result<String, bcrypt::BcryptError> {
    let line = |(user, password): &(String, String)| {
        Ok(format!("{user}:{}\n", bcrypt::non_truncating_hash(password, COST)?))
    };
    translated.logins.iter().map(line).collect()
}

fn write<'a>(path: &'a Path, text: &str) -> Result<(), (&'a Path, io::Error)> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| (path, error))
}
