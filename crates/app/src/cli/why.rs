//! `why URL`: the decision of the same rules as live traffic, explained; nothing is sent and no name resolved.
//!
//! It asks in the order of live traffic: is the client admitted, is it logged in, what do the rules say. Not here:
//! what a name resolves to, which rules by address and the guard of private networks ask about again.

use super::{Exit, Output, WhyArgs, loaded};
use crate::config::{Request, Settings};
use serde_json::{Value, json};
use shoalway_policy::{Cidr, Decision, Match, Query, Verb};
use shoalway_types::Target;
use std::io;
use std::net::IpAddr;

/// Answers.
pub(super) fn why(args: &WhyArgs, request: &Request, output: &Output) -> io::Result<Exit> {
    let asked = match Asked::parse(&args.url) {
        Ok(asked) => asked,
        Err(message) => {
            output.failure(&message, "such as: shoalway why https://example.com/")?;
            return Ok(Exit::Usage);
        }
    };
    let settings = match loaded(request, output)? {
        Ok(loaded) => loaded.settings,
        Err(exit) => return Ok(exit),
    };
    let method = args.method.as_deref().unwrap_or(asked.method);
    let query = Query {
        host: &asked.target.host,
        port: asked.target.port,
        method,
        client: args.from,
        user: args.user.as_deref(),
        resolved: None,
    };
    let mut answer = Answer::of(&settings, &query);
    if matches!(answer.decision.verb, Verb::Overlay(_)) && answer.refusal.is_none() {
        answer.flows = crate::operate::flows(&settings.admin.socket, &asked.target.host.to_string());
    }
    if output.is_json() {
        output.json(&answer.to_json(&settings, &asked.target, method))?;
    } else {
        output.text(&answer.to_text(&settings, &asked.target, method))?;
    }
    Ok(if answer.is_blocked() { Exit::Blocked } else { Exit::Ok })
}

/// What a URL asks a proxy for.
struct Asked {
    target: Target,
    method: &'static str,
}

impl Asked {
    fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), url),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (port, method) = match scheme.as_str() {
            "http" | "ws" => (Some(80), "GET"),
            "https" | "wss" | "" => (Some(443), "CONNECT"),
            "ftp" => (Some(21), "GET"),
            "ssh" => (Some(22), "CONNECT"),
            _ => (None, "CONNECT"),
        };
        let target = Target::parse(authority, port).map_err(|error| format!("`{url}` is no URL: {error}"))?;
        Ok(Self { target, method })
    }
}

/// Why a request would not even come to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The client's address is in none of the networks of `clients`.
    Client,
    /// Nobody is logged in, and somebody must be.
    NoUser,
    /// The user is not in the file of users.
    UnknownUser,
}

impl Refusal {
    const fn words(self) -> &'static str {
        match self {
            Self::Client => "the client's address is in none of the networks of `clients` in [proxy]",
            Self::NoUser => "a log-in is required: ask again with --user NAME",
            Self::UnknownUser => "there is no such user in the file of users",
        }
    }
}

struct Answer<'a> {
    refusal: Option<Refusal>,
    decision: Decision<'a>,
    matches: Vec<Match>,
    /// Whether a rule asks again once the name is resolved.
    asks_again: bool,
    /// Through which exits of the overlay flows to this host went, as the running proxy says.
    flows: Option<Value>,
}

impl<'a> Answer<'a> {
    fn of(settings: &'a Settings, query: &Query<'_>) -> Self {
        let asks_again = settings.rules.by_address() && query.host.ip().is_none();
        let (decision, matches) = (settings.rules.decide(query), settings.rules.explain(query));
        Self { refusal: refusal(settings, query), decision, matches, asks_again, flows: None }
    }

    fn is_blocked(&self) -> bool {
        self.refusal.is_some() || self.decision.verb == Verb::Block
    }

    fn to_text(&self, settings: &Settings, target: &Target, method: &str) -> String {
        let mut lines = vec![format!("{method} {target}")];
        if let Some(refusal) = self.refusal {
            lines.push(format!("-> refused: {}", refusal.words()));
            lines.push(String::new());
            return lines.join("\n");
        }
        let verb = verb(settings, self.decision.verb);
        lines.push(format!("-> {verb}, by {}", named(settings, self.decision.rule)));
        lines.extend(self.decision.say.map(|say| format!("   says: {say}")));
        if matches!(self.decision.verb, Verb::Overlay(_)) {
            lines.push(format!("   {}", overlay_words(self.flows.as_ref())));
        }
        if self.matches.len() > 1 {
            lines.push("   also matching, in order:".to_owned());
            let others = self.matches.iter().skip(1);
            lines.extend(others.map(|other| format!("     {}", named(settings, other.rule))));
        }
        if self.asks_again {
            lines.push("   rules by address are asked again when the name is resolved".to_owned());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn to_json(&self, settings: &Settings, target: &Target, method: &str) -> Value {
        let matches = self.matches.iter().map(
            |other| json!({ "rule": other.rule, "verb": verb(settings, other.verb), "line": other.line }),
        );
        json!({
            "target": target.to_string(),
            "method": method,
            "blocked": self.is_blocked(),
            "refused": self.refusal.map(Refusal::words),
            "verb": verb(settings, self.decision.verb),
            "rule": self.decision.rule,
            "line": settings.rules.line(self.decision.rule),
            "say": self.decision.say,
            "matches": matches.collect::<Vec<_>>(),
            "asks_again_when_resolved": self.asks_again,
            "overlay": self.flows,
        })
    }
}

fn refusal(settings: &Settings, query: &Query<'_>) -> Option<Refusal> {
    if !admitted(settings, query.client) {
        return Some(Refusal::Client);
    }
    let users = settings.users.as_ref()?;
    match query.user {
        None => Some(Refusal::NoUser),
        Some(user) if !users.contains(user) => Some(Refusal::UnknownUser),
        Some(_) => None,
    }
}

fn admitted(settings: &Settings, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let within =
        |(ip, prefix): &(IpAddr, u8)| Cidr::new(*ip, *prefix).is_ok_and(|network| network.contains(client));
    client.is_loopback() || settings.clients.is_empty() || settings.clients.iter().any(within)
}

/// Which exit, as far as it can be said.
fn overlay_words(flows: Option<&Value>) -> String {
    let Some(flows) = flows.filter(|flows| !flows.is_null()) else {
        return "which exit depends on a secret of the running proxy, and none is running here".to_owned();
    };
    let last = flows.get("flows").and_then(Value::as_array).and_then(|flows| flows.last());
    let word = |key: &str| last.and_then(|last| last.get(key)).and_then(Value::as_str);
    match (word("exit"), word("why")) {
        (Some(exit), Some(why)) => format!("exit {exit}: {why}"),
        _none_yet => {
            let exits = flows.get("exits").and_then(Value::as_array).map_or(0, Vec::len);
            format!("one of the {exits} exits in use, chosen when the first connection is made")
        }
    }
}

fn verb(settings: &Settings, verb: Verb) -> String {
    match verb {
        Verb::Block => "block".to_owned(),
        Verb::Direct => "direct".to_owned(),
        Verb::Allow => "allow".to_owned(),
        Verb::Via(exit) => format!("via:{}", settings.rules.exit_name(exit)),
        Verb::Overlay(_) => "overlay".to_owned(),
    }
}

fn named(settings: &Settings, rule: u32) -> String {
    let line = settings.rules.line(rule).unwrap_or_default();
    if rule == 0 { format!("the implied last rule `{line}`") } else { format!("rule {rule} `{line}`") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load};

    fn settings(text: &str) -> Settings {
        let users = "me:$apr1$0123abcd$S2r2KGdkhSGLSxZIi6qNU1\n";
        let surroundings = Surroundings::default().with_file("a.toml", text).with_file("users", users);
        let request = Request { file: Some("a.toml".into()), surroundings, ..Request::default() };
        load(&request).unwrap_or_else(|report| panic!("{report:?}")).settings
    }

    fn answer(settings: &Settings, url: &str, from: &str, user: Option<&str>) -> String {
        let asked = Asked::parse(url).unwrap();
        let Target { host, port } = &asked.target;
        let (client, method) = (from.parse().unwrap(), asked.method);
        let query = Query { host, port: *port, method, client, user, resolved: None };
        Answer::of(settings, &query).to_text(settings, &asked.target, method)
    }

    #[test]
    fn the_deciding_rule_and_those_behind_it_are_named() {
        let settings =
            settings("version = 1\nrules = [\"block domain:*.a.example say:'no'\", \"direct port:443\"]\n");
        for (url, text) in [
            (
                "https://x.a.example/path",
                "CONNECT x.a.example:443\n-> block, by rule 1 `block domain:*.a.example say:'no'`\n   says: no\n   \
                 also matching, in order:\n     rule 2 `direct port:443`\n     the implied last rule `direct all`\n",
            ),
            ("http://me@b.example", "GET b.example:80\n-> direct, by the implied last rule `direct all`\n"),
        ] {
            assert_eq!(answer(&settings, url, "127.0.0.1", None), text);
        }
    }

    #[test]
    fn who_is_not_let_in_never_comes_to_the_rules() {
        let settings = settings(
            "version = 1\n[proxy]\nlisten = \"0.0.0.0:3128\"\nclients = \"192.0.2.0/24\"\nauth = \"basic\"\nusers = \"users\"\n",
        );
        for (from, user, word) in [
            ("198.51.100.1", Some("me"), "refused: the client's address"),
            ("192.0.2.1", None, "refused: a log-in"),
            ("127.0.0.1", Some("you"), "refused: there is no such user"),
            ("::ffff:192.0.2.1", Some("me"), "direct"),
        ] {
            let text = answer(&settings, "https://a.example", from, user);
            assert!(text.contains(&format!("-> {word}")), "{from} {user:?}: {text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "http://", "https://a b/", "gopher://a.example", "a:99999"] {
            assert!(Asked::parse(url).is_err(), "{url}");
        }
    }
}
