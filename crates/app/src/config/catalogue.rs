//! Every code a configuration can be answered with: the one place where codes, titles and explanations stand.
//!
//! A code is never reused and never changes its meaning. `docs/errors.md` has an entry for each, compared by a
//! test. Not here: the messages, which stand where the mistake is found.

/// Whether a problem keeps the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

impl Severity {
    /// As the report's first word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What stands in the catalogue for one code.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Such as `C012`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// Cause and remedy in a few sentences.
    pub explanation: &'static str,
}

macro_rules! catalogue {
    ($($name:ident $id:literal $severity:ident $title:literal $explanation:literal)*) => {
        /// A stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the catalogue says.
            #[must_use]
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry {
                        id: $id,
                        severity: Severity::$severity,
                        title: $title,
                        explanation: $explanation,
                    },)*
                }
            }
        }
    };
}

catalogue! {
    Unreadable "C001" Error "a configuration file cannot be read"
        "The file does not exist, may not be read, or is not UTF-8. Give another with `-c FILE`, or make one with `shoalway config init`."
    Syntax "C003" Error "the text is not TOML"
        "The line breaks the TOML grammar: a missing quote, bracket or equals sign, most often. Strings stand in quotes. The line is left out and the rest is still checked."
    Twice "C004" Error "a key is set twice"
        "Within one file TOML forbids it; between a file and its included files it would be unclear which holds. Only `rules` may stand in several files: they are appended."
    Include "C005" Error "an include cannot be followed"
        "A plain path must exist, a pattern has `*` and `?` in its last part only, and an included file includes no others."
    NoVersion "C006" Error "the file does not say its version"
        "Write `version = 1` as the first line, so that later programs read the file as it was meant."
    Version "C007" Error "the file's version is not known"
        "This program reads version 1. A higher number needs a newer program."
    Override "C008" Error "an override is not of the form key=value"
        "`-o` takes a dotted key, an equals sign and a TOML value or a bare word: `-o proxy.listen=127.0.0.1:3138`."
    NoVariable "C010" Error "an environment variable is not set"
        "`${NAME}` needs the variable NAME. Set it, or give a value for its absence: `${NAME:-value}`. A dollar sign before a brace is written `$${`."
    Substitution "C011" Error "a substitution cannot be made"
        "`${NAME}`, `${NAME:-value}` and `${file:PATH}` are known, inside strings only. PATH is relative to the file that names it; one newline at the end of its text is dropped."
    UnknownKey "C012" Error "an unknown key"
        "No key of this name exists at this place; a misspelled key would otherwise be ignored in silence. `shoalway config explain` lists all keys."
    WrongType "C013" Error "a value has the wrong type"
        "The key takes another type of value: a string, a list, a number, true or false, or a table."
    UnknownWord "C014" Error "a value is none of the known words"
        "The key takes one of a few words. `shoalway config explain KEY` lists them with their meaning."
    Later "C015" Error "not in this version"
        "The key or value is planned and its name settled, but this version cannot do it. Leave it out, or use a newer version."
    Missing "C016" Error "a required key is missing"
        "The table needs this key to mean anything."
    NoUnit "C017" Error "a number without a unit"
        "Times and sizes are strings with a unit, so that nobody has to guess: `\"10s\"`, `\"64 KiB\"`, `\"64 B/s\"`."
    Quantity "C018" Error "not a time, size, rate or share"
        "Times: `ms`, `s`, `m`, `h`, `d`. Sizes: `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`. Rates: a size and `/s`. Shares: `50%`."
    Range "C019" Error "a value is out of range"
        "The message names the bounds. They keep a slip of the finger from switching a protection off."
    Address "C020" Error "not an address to listen on"
        "Write `ADDRESS:PORT` with an IP address, not a name: `127.0.0.1:3128`, `0.0.0.0:3128`, `[::1]:3128`."
    SameAddress "C021" Error "two listeners on one address"
        "Each address and port can be listened on once. `0.0.0.0` includes every IPv4 address, `[::]` every address of both families."
    PrivilegedPort "C022" Warning "a port that needs a privilege"
        "Ports below 1024 can be opened by root or with the capability CAP_NET_BIND_SERVICE only."
    Network "C023" Error "not a network"
        "Write `ADDRESS/BITS` or one address: `192.168.1.0/24`, `2001:db8::/32`, `192.0.2.7`. No bits may be set after the prefix."
    FileUnreadable "C024" Error "a file that is named cannot be read"
        "The file of users, names or certificates does not exist or may not be read. A relative path starts at the directory of the file that names it."
    KeyExposed "C025" Error "a private key that others can read"
        "Make it readable by its owner alone: `chmod 600 FILE`."
    Users "C026" Error "a mistake in the file of users"
        "Each line is `NAME:HASH` as htpasswd writes it, with bcrypt (`htpasswd -B`), argon2 or apr1."
    List "C027" Warning "a list of names that is not fully understood"
        "Understood are one domain name a line, hosts form, and `||name^`; `#` begins a comment. Other lines are passed over, so that one bad line does not spoil the list."
    NoUsers "C028" Error "log-in without a file of users"
        "`auth = \"basic\"` needs `users`, else nobody could ever log in."
    Pem "C029" Error "not a PEM file of the expected kind"
        "Certificates begin with `-----BEGIN CERTIFICATE-----`, keys with `-----BEGIN PRIVATE KEY-----` or the older forms for RSA and EC. Encrypted keys are not read."
    Rule "C030" Error "a mistake in a rule"
        "A rule is `VERB MATCH... OPTION...`: a space means and, a comma means or, `!` means not."
    DeadRule "C031" Error "a rule that can never match"
        "An earlier rule takes everything that this one could match. Move it up, or remove it."
    UnknownName "C032" Error "a name that is not defined"
        "The rule uses an exit or list that has no section. Define `[exits.NAME]` or `[lists.NAME]`."
    Unused "C033" Warning "something is defined and never used"
        "No rule uses this exit or list. Use it as `via:NAME` or `list:NAME`, or remove it."
    Exit "C034" Error "not the URL of an exit"
        "`SCHEME://[USER:PASSWORD@]HOST[:PORT]`, where the scheme is http, https, socks4a, socks5 or socks5h. Special characters in user and password are percent-encoded."
    Resolver "C035" Error "not a DNS server"
        "`system`, `ADDRESS`, `udp://ADDRESS[:PORT]`, `tcp://ADDRESS[:PORT]`, `tls://NAME@ADDRESS[:PORT]` or `https://HOST[:PORT]/PATH`."
    Name "C036" Error "not a usable name"
        "Names of exits and lists have 1 to 64 letters, digits, `-` and `_`, since rules contain them. The realm is printable ASCII without quotes and backslashes, 1 to 128 characters, since a header contains it."
    SelfExit "C037" Error "an exit that leads back here"
        "The exit's address is one of this proxy's own listeners: every request would go round until it is cut."
    OpenProxy "C044" Error "this would be an open proxy"
        "A listener that others can reach needs `clients` or `auth`: open proxies are found within hours and used for abuse in your name."
    OpenAdmin "C045" Error "an admin port that others can reach"
        "The admin port has no log-in, so it listens on loopback only. Reach it from elsewhere through ssh or a reverse proxy with a log-in."
    UnusedUsers "C046" Warning "a file of users that is never asked"
        "`users` has an effect together with `auth = \"basic\"` only."
    SiteName "C047" Error "not the name of a site"
        "A site is called by the host that clients ask for: a name, an address, `*.example.org` for every name below it, or `*` for any host that no other site names. The same holds for names in `sni`."
    Upstream "C048" Error "not an upstream"
        "Sites send to `http://HOST[:PORT]`, `https://HOST[:PORT]`, `h2c://HOST[:PORT]` or `unix:/PATH`, streams to `HOST:PORT` or `unix:/PATH`. Behind it may stand `weight=`, `priority=`, `zone=` and `tags=`; before it `dns:` or `srv:`; `file:PATH` names a file of upstreams."
    Route "C049" Error "a mistake in a route"
        "`PATH -> UPSTREAM...`, `PATH => redirect:TARGET [STATUS]`, `PATH => files:DIRECTORY` or `PATH => answer:STATUS TEXT`. A `*` in a path takes any characters, and `$1` to `$9` in a target stand for them. `shoalway config explain sites.NAME.routes` names what else may stand in a route."
    Disagree "C050" Error "sites on one address that do not agree"
        "Before a request is read nobody knows which site it is for, so sites that share an address all have `tls` or none of them, and the same `client_ca`, `proxy_protocol`, `trusted` and `gate`."
    SameSite "C051" Error "two sites of the same name"
        "Names of hosts are the same in capitals and with a dot at the end."
    SelfUpstream "C052" Error "an upstream that leads back here"
        "The upstream is an address that the same site or stream listens on: every request would go round until it is cut."
    DeadRoute "C053" Error "a route that can never match"
        "An earlier route takes everything that this one could match. Move it up, or remove it."
    HealthCheck "C054" Error "not a health check"
        "`path` begins with `/`, `host` is a name or address, and `status` lists statuses such as `200` or `200-299`."
    NoEffect "C055" Warning "a key that has no effect"
        "What the key is about does not occur here, so that nothing would change without it. Most often something else was left out."
    Mixed "C056" Error "things that do not go together"
        "A stream listens for connections or for datagrams, not for both; `sni`, `tls`, `proxy_protocol`, `to_proxy_protocol` and `gate` are for connections only. `tls` opens what `sni` passes on unopened: write one of the two. A header of `to_proxy_protocol` names one client, so a site with it speaks HTTP/1.1 to its upstreams."
    Unprovable "C057" Error "a certificate that cannot be had by itself"
        "An authority certifies a DNS name when it finds our answer there: on port 80, where a site without TLS listens, or on port 443 with TLS and without `client_ca`. When a router leads those ports to others here, say so: `challenges = [\"http-01\"]` or `[\"tls-alpn-01\"]`. Addresses, `*` and public names with `*.` need files of your own; names below `.internal` need no proof."
    Authority "C058" Error "not an authority for certificates"
        "`directory` and `staging_directory` are `https` URLs, and `email` is one address such as `ops@example.org`."
    TwoSources "C059" Error "a certificate from files and by itself"
        "A site with `acme` has its certificate by itself and needs no `cert` and `key`; `client_ca` may stay. Remove one of the two."
    Staple "C060" Warning "an OCSP answer that is not sent"
        "The file of `ocsp` holds no OCSP answer (DER), one that has expired, one for another certificate, or one that does not say it is good. The certificate is shown without it, and the file is looked at again when it changes."
    Collector "C061" Error "not a collector of traces"
        "`otlp` is a URL with `http` or `https`, a host and perhaps a port and a path: http://127.0.0.1:4318. Spans are posted to /v1/traces there unless the URL has a path."
    NetworkFile "C070" Error "not the file of a network"
        "`shoalway network show FILE` says what is wrong with it. A network file is passed on as it is: a changed one is worth nothing, since it is signed."
    Invitation "C071" Error "an invitation that cannot be used"
        "Each line of the file is a link that begins with `shoalway://join#1.`, and all are of one network. `shoalway join` checks a link and stores it."
    Node "C072" Error "a node that could not work"
        "A value of `[node]` or `[overlay]` does not fit what the overlay can do with it. `shoalway config explain node` names every key."
}

impl Code {
    /// The code as messages show it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.entry().id
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.entry().severity
    }

    /// The code with this text, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_eq!(Code::parse("c012"), Some(Code::UnknownKey));
        assert_eq!(Code::parse("C999"), None);
    }

    #[test]
    fn the_page_of_errors_names_every_code_and_no_other() {
        let page = include_str!("../../../../docs/errors.md");
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## C")).collect();
        let expected: Vec<_> = Code::ALL
            .iter()
            .map(|code| format!("{}: {}", code.id().trim_start_matches('C'), code.entry().title))
            .collect();
        assert_eq!(headings, expected);
        for code in Code::ALL {
            assert!(page.contains(code.entry().explanation), "{} is explained differently", code.id());
        }
    }
}
