//! `cert` and `ca`: what is read from the storage, without a running proxy.
//!
//! Not here: `cert renew` and `cert dry-run`, which a running proxy does (`operate/certs`).

use super::{Exit, Output, loaded};
use crate::cert::{CertError, Listed, Root, Storage, list, words};
use crate::config::Request;
use crate::operate::CertAsk;
use clap::{Args, Subcommand};
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Commands below `cert`.
#[derive(Subcommand)]
pub enum CertCommand {
    /// Show the certificates that are kept, until when they are valid, and what went wrong
    List(StorageArgs),
    /// Let the running proxy order a new certificate for a name now
    Renew {
        /// The name
        name: String,
    },
    /// Let the running proxy go through a whole order at the staging authority, and keep nothing of it
    DryRun {
        /// Names; without any, all that are kept
        names: Vec<String>,
    },
}

/// Commands below `ca`.
#[derive(Subcommand)]
pub enum CaCommand {
    /// Show the local authority's certificate and how to trust it; nothing is installed
    Show(StorageArgs),
}

/// Where certificates are.
#[derive(Args)]
pub struct StorageArgs {
    /// Directory of certificates, when it is not that of the configuration
    #[arg(long, value_name = "DIR")]
    pub storage: Option<PathBuf>,
}

impl StorageArgs {
    /// Where the configuration says, unless somebody said otherwise. A configuration with mistakes is shown.
    fn open(&self, request: &Request, output: &Output) -> io::Result<Result<Storage, Exit>> {
        Ok(match &self.storage {
            Some(dir) => Ok(Storage::look_at(dir)),
            None => loaded(request, output)?.map(|loaded| Storage::look_at(&loaded.settings.certificates)),
        })
    }
}

/// Does a command below `cert`, or says what only the running proxy can do.
pub(super) fn cert(
    command: CertCommand,
    request: &Request,
    output: &Output,
) -> io::Result<Result<Exit, CertAsk>> {
    match command {
        CertCommand::List(args) => show_all(&args, request, output).map(Ok),
        CertCommand::Renew { name } => Ok(Err(CertAsk::Renew(name))),
        CertCommand::DryRun { names } => Ok(Err(CertAsk::DryRun(names))),
    }
}

/// Shows what is kept.
fn show_all(args: &StorageArgs, request: &Request, output: &Output) -> io::Result<Exit> {
    let storage = match args.open(request, output)? {
        Ok(storage) => storage,
        Err(exit) => return Ok(exit),
    };
    match list(&storage, SystemTime::now()) {
        Ok(all) if output.is_json() => {
            output.json(&json!({ "certificates": all.iter().map(Listed::to_json).collect::<Vec<_>>() }))?;
        }
        Ok(all) if all.is_empty() => {
            output.text(&format!("no certificates in {}\n", storage.root().display()))?;
        }
        Ok(all) => output.text(&all.iter().map(Listed::to_text).collect::<String>())?,
        Err(error) => return failed(&error, output),
    }
    Ok(Exit::Ok)
}

/// Shows the local authority.
pub(super) fn ca(command: &CaCommand, request: &Request, output: &Output) -> io::Result<Exit> {
    let CaCommand::Show(args) = command;
    let storage = match args.open(request, output)? {
        Ok(storage) => storage,
        Err(exit) => return Ok(exit),
    };
    match Root::find(&storage) {
        Ok(Some(root)) if output.is_json() => {
            let until = crate::cert::seconds(root.until);
            output.json(&json!({ "file": root.path, "pem": root.pem, "until": until }))?;
        }
        Ok(Some(root)) => output.text(&how_to_trust(&root))?,
        Ok(None) => {
            let message = format!("there is no local authority in {}", storage.root().display());
            output.failure(&message, "it is made with the first certificate for a name below .internal")?;
            return Ok(Exit::Failed);
        }
        Err(error) => return failed(&error, output),
    }
    Ok(Exit::Ok)
}

fn failed(error: &CertError, output: &Output) -> io::Result<Exit> {
    output.failure(&format!("{}: {error}", error.code()), &error.hint())?;
    Ok(error.exit())
}

fn how_to_trust(root: &Root) -> String {
    let file = quoted(&root.path.display().to_string());
    let until = words(root.until);
    format!(
        "\
The local authority: {file}, valid until {until}
It can certify names below .internal, .localhost and .home.arpa, and no others. To trust it on this machine:
  Debian, Ubuntu     sudo cp {file} /usr/local/share/ca-certificates/shoalway.crt && sudo update-ca-certificates
  Fedora, RHEL       sudo trust anchor {file}
  Chromium on Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n shoalway -i {file}
  Firefox            Settings, Certificates, Authorities, Import
  macOS              sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain {file}
  curl, once         curl --cacert {file} https://NAME.internal/
Nothing of this is ever done by this program. Copy the file, not the key beside it, to other machines.
"
    )
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-".contains(sign);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        for (text, wanted) in [
            ("/var/lib/shoalway/certs", "/var/lib/shoalway/certs"),
            ("/my files/ca.pem", "'/my files/ca.pem'"),
            ("/it's/$(x)", r"'/it'\''s/$(x)'"),
        ] {
            assert_eq!(quoted(text), wanted);
        }
    }
}
