//! Who may use the proxy: client networks, log-in, realm, and what clients may reach.

use super::{Check, unknown_word};
use crate::config::at::{At, Many};
use crate::config::catalogue::Code;
use crate::config::file::ProxySection;
use crate::config::report::Problem;
use crate::config::settings::{Reach, ReachSet};
use shoalway_policy::{Cidr, CidrError, Users};
use std::net::IpAddr;
use std::sync::Arc;

/// Ways to log in that are planned.
const LATER_AUTH: &[&str] = &["digest", "kerberos", "negotiate", "ntlm", "bearer", "ldap", "oidc"];

/// What was found out about access.
pub(super) struct Access {
    pub(super) clients: Vec<(IpAddr, u8)>,
    pub(super) users: Option<Arc<Users>>,
    pub(super) reach: Reach,
    /// Whether clients must log in.
    pub(super) required: bool,
    /// The text of the file of users, for the fingerprint.
    pub(super) users_text: String,
}

/// Checks clients, auth, users, realm and reach.
pub(super) fn access(proxy: &ProxySection, check: &mut Check<'_>) -> Access {
    let clients = proxy.clients.items().iter().filter_map(|at| network(at, check));
    let clients = clients.map(|cidr| (cidr.base(), cidr.prefix())).collect();
    for at in proxy.auth.items().iter().filter(|at| at.get() != "basic") {
        check.add(unknown_word("auth", at, &["basic"], LATER_AUTH));
    }
    realm(&proxy.realm, check);
    let reach = proxy.reach.as_ref().map_or(Reach::Default, |list| reach(list, check));
    let required = !proxy.auth.items().is_empty();
    let (users, users_text) = users(proxy, required, check);
    Access { clients, users, reach, required, users_text }
}

/// One network.
pub(super) fn network(at: &At<String>, check: &mut Check<'_>) -> Option<Cidr> {
    let error = match Cidr::parse(at.get()) {
        Ok(cidr) => return Some(cidr),
        Err(error) => error,
    };
    let problem = Problem::new(Code::Network, at.place(), format!("`{}` is not a network", at.get()));
    check.add(match error {
        CidrError::HostBits { meant } => problem.label(format!("did you mean `{meant}`?")),
        CidrError::Address | CidrError::Prefix { .. } => problem.label(error.to_string()),
    });
    None
}

fn realm(at: &At<String>, check: &mut Check<'_>) {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    let realm = at.get();
    if realm.is_empty() || realm.len() > 128 || !realm.chars().all(plain) {
        let problem = Problem::new(Code::Name, at.place(), "`realm` cannot stand in a header");
        check.add(problem.label("1 to 128 printable ASCII characters without quotes and backslashes"));
    }
}

fn reach(list: &Many, check: &mut Check<'_>) -> Reach {
    let mut set = ReachSet::default();
    for at in list.items() {
        match at.get().as_str() {
            "public" => set.public = true,
            "private" => set.private = true,
            "loopback" => set.loopback = true,
            _ => check.add(unknown_word("reach", at, &["public", "private", "loopback"], &[])),
        }
    }
    Reach::Only(set)
}

fn users(proxy: &ProxySection, required: bool, check: &mut Check<'_>) -> (Option<Arc<Users>>, String) {
    let Some(at) = &proxy.users else {
        if let (true, false, Some(first)) = (required, check.is_lost("users"), proxy.auth.items().first()) {
            let problem = Problem::new(Code::NoUsers, first.place(), "`auth` has no file of users to ask");
            check.add(
                problem
                    .fix("add users = \"users.htpasswd\"; make it with: htpasswd -B -c users.htpasswd NAME"),
            );
        }
        return (None, String::new());
    };
    let Some(file) = check.read(at, "the file of users") else { return (None, String::new()) };
    if !required && !check.is_lost("auth") {
        let problem =
            Problem::new(Code::UnusedUsers, at.place(), "`users` is given, but nobody is asked to log in");
        check.add(problem.fix("add auth = [\"basic\"]"));
    }
    match Users::parse(&file.text) {
        Ok(users) if users.is_empty() => {
            let problem =
                Problem::new(Code::Users, at.place(), "the file of users is empty: nobody could log in");
            check.add(problem.fix(format!("htpasswd -B {} NAME", file.path.display())));
            (None, file.text)
        }
        Ok(users) => (required.then(|| Arc::new(users)), file.text),
        Err(errors) => {
            for error in errors {
                let message = format!("{}:{}: {}", file.path.display(), error.line, error.reason);
                check.add(Problem::new(Code::Users, at.place(), message).fix(error.help()));
            }
            (None, file.text)
        }
    }
}
