//! `proxy` and `reverse`: checks what their flags come to, then writes it as a file or hands it over to be run.
//!
//! Passwords of `-L` become bcrypt hashes in a file of users, which exists in memory alone unless saved. Saved
//! files are for their owner only, and none is ever overwritten.

use super::{
    Exit, Outcome, Output, ProxyArgs, ReverseArgs, Service, Translated, reverse, show_report, translate,
};
use crate::config::{Ending, Request, Surroundings, load};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the configuration that exists in memory alone.
const IN_MEMORY: &str = "(flags)";
/// Cost of the bcrypt hashes: 2 to the power of it rounds, as `htpasswd -B -C 10` would make.
const COST: u32 = 10;

/// The files that equal the flags.
struct Files {
    config: PathBuf,
    config_text: String,
    users: PathBuf,
    /// Empty when nobody has to log in.
    users_text: String,
}

/// Does the command `proxy`.
pub(super) fn proxy(args: &ProxyArgs, request: Request, output: &Output) -> io::Result<Outcome> {
    let translated = match translate(&args.listen, &args.forward) {
        Ok(translated) => translated,
        Err(errors) => {
            output.failure(&errors.join("\n       "), "shoalway proxy --help shows the forms")?;
            return Ok(Outcome::Done(Exit::Usage));
        }
    };
    run_or_save(&translated, args.save.as_deref(), request, output)
}

/// Does the command `reverse`.
pub(super) fn reverse(args: &ReverseArgs, request: Request, output: &Output) -> io::Result<Outcome> {
    match reverse::translate(args) {
        Ok(translated) => run_or_save(&translated, args.save.as_deref(), request, output),
        Err(error) => {
            output.failure(&format!("--from: {error}"), "shoalway reverse --help shows the forms")?;
            Ok(Outcome::Done(Exit::Usage))
        }
    }
}

/// Runs what the flags came to, or writes it to `save` (`-`: prints it).
fn run_or_save(
    translated: &Translated,
    save: Option<&Path>,
    request: Request,
    output: &Output,
) -> io::Result<Outcome> {
    let path = save.filter(|path| *path != Path::new("-"));
    let files = match Files::of(translated, path) {
        Ok(files) => files,
        Err(error) => {
            output.failure(&format!("cannot hash a password: {error}"), "bcrypt takes at most 72 octets")?;
            return Ok(Outcome::Done(Exit::Failed));
        }
    };
    let request = files.as_request(request);
    if let Err(report) = load(&request) {
        show_report(&report, Ending::Start, output)?;
        return Ok(Outcome::Done(Exit::BadConfig));
    }
    match (save, path) {
        (None, _) => Ok(Outcome::Service(Service::Run(Box::new(request)))),
        (Some(_), None) => files.print(output).map(Outcome::Done),
        (Some(_), Some(_)) => files.save(output).map(Outcome::Done),
    }
}

impl Files {
    fn of(translated: &Translated, path: Option<&Path>) -> Result<Self, bcrypt::BcryptError> {
        let users = users_path(path);
        let name = users.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            config: path.map_or_else(|| PathBuf::from(IN_MEMORY), Path::to_owned),
            config_text: translated.with_users(&name),
            users,
            users_text: hashed(translated)?,
        })
    }

    /// Each file that is needed, with its text.
    fn each(&self) -> impl Iterator<Item = (&Path, &str)> {
        let users = (!self.users_text.is_empty()).then_some((self.users.as_path(), self.users_text.as_str()));
        [Some((self.config.as_path(), self.config_text.as_str())), users].into_iter().flatten()
    }

    /// The request with these files in memory.
    fn as_request(&self, request: Request) -> Request {
        let with = |surroundings: Surroundings, (path, text)| surroundings.with_file(path, text);
        let surroundings = self.each().fold(request.surroundings, with);
        Request { file: Some(self.config.clone()), overrides: request.overrides, surroundings }
    }

    fn print(&self, output: &Output) -> io::Result<Exit> {
        if output.is_json() {
            output.json(&serde_json::json!({ "file": self.config_text, "users": self.users_text }))?;
            return Ok(Exit::Ok);
        }
        output.text(&self.config_text)?;
        if !self.users_text.is_empty() {
            output.complain(&format!("note: {} must hold:\n{}", self.users.display(), self.users_text))?;
        }
        Ok(Exit::Ok)
    }

    fn save(&self, output: &Output) -> io::Result<Exit> {
        if let Err((path, error)) = self.each().try_for_each(|(path, text)| write(path, text)) {
            output.failure(
                &format!("cannot write {}: {error}", path.display()),
                "give another with --save FILE",
            )?;
            return Ok(Exit::Failed);
        }
        let path = self.config.display();
        if output.is_json() {
            output.json(&serde_json::json!({ "ok": true, "file": path.to_string() }))?;
        } else {
            output.text(&format!("wrote {path}; start it with: shoalway run -c {path}\n"))?;
        }
        Ok(Exit::Ok)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_with_a_login_come_to_a_configuration_that_loads() {
        let owned = |text: &str| vec![text.to_owned()];
        let translated = translate(&owned("http://me:secret@:8080"), &owned("socks5://192.0.2.1")).unwrap();
        let files = Files::of(&translated, None).unwrap();
        assert!(
            !files.users_text.contains("secret") && files.users_text.starts_with("me:$2"),
            "{}",
            files.users_text
        );
        let loaded =
            load(&files.as_request(Request::default())).unwrap_or_else(|report| panic!("{report:?}"));
        assert!(loaded.settings.users.is_some_and(|users| users.check("me", b"secret")));
        assert_eq!(loaded.settings.exits.len(), 1);
    }

    #[test]
    fn a_saved_file_is_for_its_owner_and_never_overwrites_another() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("shoalway-save-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.toml");
        let first = write(&path, "one").is_ok();
        let second = write(&path, "two").is_err();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!((first, second, mode, text.as_str()), (true, true, 0o600, "one"));
    }
}
