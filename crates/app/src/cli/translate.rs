//! `proxy -L URL -F URL`: flags as gost and glider have them, turned into the configuration file that means the same.
//!
//! `-L [SCHEME://][USER:PASSWORD@][ADDRESS]:PORT`: every listener speaks HTTP and SOCKS, so the schemes `http`,
//! `socks4`, `socks4a`, `socks5`, `socks`, `auto` and `mixed` mean the same. Without an address it is 127.0.0.1 and
//! not, as elsewhere, every address: a proxy for others is asked for by `0.0.0.0`. `-F` is one exit that takes all.
//! Not here: checking the result, which the configuration does as for any file.

/// The file that equals the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The text of the file, without the key `users`.
    pub toml: String,
    /// Users and passwords of the listeners, in order. When there are any, the file needs `users`.
    pub logins: Vec<(String, String)>,
}

const PLAIN: [&str; 7] = ["http", "socks4", "socks4a", "socks5", "socks", "auto", "mixed"];

/// Turns flags into a file.
///
/// # Errors
/// All mistakes, each a sentence; passwords are not repeated in them.
pub fn translate(listen: &[String], forward: &[String]) -> Result<Translated, Vec<String>> {
    let (mut errors, mut addresses, mut logins) = (Vec::new(), Vec::new(), Vec::new());
    for (number, url) in (1..).zip(listen) {
        match listener(url) {
            Ok((address, login)) => {
                addresses.push(address);
                logins.push(login);
            }
            Err(why) => errors.push(format!("-L number {number}: {why}")),
        }
    }
    let open = logins.iter().filter(|login| login.is_none()).count();
    let mut logins: Vec<_> = logins.into_iter().flatten().collect();
    if open > 0 && !logins.is_empty() {
        errors.push(
            "either every -L has a user and password, or none: a log-in holds for all listeners".to_owned(),
        );
    }
    logins.dedup();
    let exit = match forward {
        [] => None,
        [one] => Some(if one.contains("://") { one.clone() } else { format!("http://{one}") }),
        _ => {
            errors.push("more than one -F is a chain, which is not in this version".to_owned());
            None
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Translated { toml: file(&addresses, !logins.is_empty(), exit.as_deref()), logins })
}

type Login = Option<(String, String)>;

fn listener(url: &str) -> Result<(String, Login), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mixed", url));
    if matches!(scheme, "https" | "tls" | "socks5+tls" | "http+tls") {
        return Err(format!(
            "`{scheme}` needs a certificate: write a file with `tls` in [proxy] and use `run -c FILE`"
        ));
    }
    if !PLAIN.contains(&scheme) {
        return Err(format!("unknown scheme `{scheme}`; known: {}", PLAIN.join(", ")));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, address) = match rest.rsplit_once('@') {
        Some((login, address)) => (Some(credentials(login)?), address),
        None => (None, rest),
    };
    if address.contains(['/', '?', '#']) {
        return Err("nothing may follow the port".to_owned());
    }
    let address = match address.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None if !address.is_empty() && address.bytes().all(|b| b.is_ascii_digit()) => {
            format!("127.0.0.1:{address}")
        }
        None => address.replacen("localhost:", "127.0.0.1:", 1),
    };
    Ok((address, login))
}

fn credentials(text: &str) -> Result<(String, String), String> {
    let (user, password) = text.split_once(':').ok_or("the user has no password")?;
    let (user, password) = (decode(user)?, decode(password)?);
    let plain = |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if !plain(&user)
        || !plain(&password)
        || user.contains(':')
        || user.trim() != user
        || user.starts_with('#')
    {
        return Err("the user or password is empty, too long, or holds what it may not".to_owned());
    }
    Ok((user, password))
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        let (before, after) = rest.split_at(percent);
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or("a percent sign is followed by no two hex digits")?);
        rest = after.get(3..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes)
        .map_err(|error| format!("the user or password is not UTF-8: {}", error.utf8_error()))
}

fn file(addresses: &[String], login: bool, exit: Option<&str>) -> String {
    let mut out = "version = 1\n".to_owned();
    if exit.is_some() {
        out.push_str("rules = [\"via:upstream all\"]\n");
    }
    let listen: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    out.push_str(&format!("\n[proxy]\nlisten = [{}]\n", listen.join(", ")));
    if login {
        out.push_str("auth = [\"basic\"]\n");
    }
    if let Some(url) = exit {
        out.push_str(&format!("\n[exits.upstream]\nurl = {}\n", quoted(url)));
    }
    out
}

/// A TOML string of a text from the command line: nothing in it is substituted.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text.replace("${", "$${")).to_string()
}

impl Translated {
    /// The file with the key `users`, where it is needed.
    #[must_use]
    pub fn with_users(&self, path: &str) -> String {
        let auth = "auth = [\"basic\"]\n";
        self.toml.replacen(auth, &format!("{auth}users = {}\n", quoted(path)), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(listen: &[&str], forward: &[&str]) -> Result<Translated, Vec<String>> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        translate(&owned(listen), &owned(forward))
    }

    #[test]
    fn listeners_are_read_as_gost_and_glider_write_them() {
        for (url, address) in [
            (":8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
            ("127.0.0.1:3128", "127.0.0.1:3128"),
            ("socks5://:1080", "127.0.0.1:1080"),
            ("http://0.0.0.0:8080/", "0.0.0.0:8080"),
            ("mixed://[::1]:8080", "[::1]:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
        ] {
            let result = text(&[url], &[]).unwrap();
            assert_eq!(result.toml, format!("version = 1\n\n[proxy]\nlisten = [\"{address}\"]\n"), "{url}");
        }
    }

    #[test]
    fn a_login_and_an_exit_become_their_sections() {
        let result = text(&["http://me:p%40ss@:8080"], &["socks5://host.example:1080"]).unwrap();
        assert_eq!(result.logins, [("me".to_owned(), "p@ss".to_owned())]);
        assert_eq!(
            result.with_users("users.htpasswd"),
            "version = 1\nrules = [\"via:upstream all\"]\n\n[proxy]\nlisten = [\"127.0.0.1:8080\"]\nauth = [\"basic\"]\n\
             users = \"users.htpasswd\"\n\n[exits.upstream]\nurl = \"socks5://host.example:1080\"\n"
        );
        let plain = text(&[":1"], &["host.example:3128"]).unwrap();
        assert!(plain.toml.ends_with("url = \"http://host.example:3128\"\n"), "{}", plain.toml);
        let dollar = text(&[":1"], &["http://u:${HOME}@host.example"]).unwrap();
        assert!(dollar.toml.contains("u:$${HOME}@"), "{}", dollar.toml);
    }

    #[test]
    fn mistakes_are_told_all_at_once_and_without_passwords() {
        let errors = text(&["quic://:1", "http://me:secret%@:2", "https://:3"], &["a:1", "b:2"]).unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(!errors.concat().contains("secret"), "{errors:?}");
        assert_eq!(text(&["a:b@:1", ":2"], &[]).unwrap_err().len(), 1);
    }
}
