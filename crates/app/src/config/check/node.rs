//! The section `[node]`: a site of its own, and what stands behind it.
//!
//! The site is one like any other ([`with_site`]): certificates, addresses and what it sends to are checked as those of
//! `[sites]`. Not here: what invitations say (`overlay`), keys, which are read when the node starts.

use super::Check;
use super::listeners::address;
use super::overlay::{country, default_state, invitations, network_file, number, roots, wallet};
use crate::cli::keys_directory;
use crate::config::at::{At, Many, NOWHERE};
use crate::config::catalogue::Code;
use crate::config::file::{NodeSection, NodeTlsSection, PublishSection, SiteSection, SiteTlsSection};
use crate::config::report::Problem;
use crate::config::settings::{NodeSettings, PublishSettings};
use shoalway_overlay_proto::descriptor::{
    BindingKind, Endpoint, FAMILY_MOST, NO_COUNTRY, POLICY_MOST, PolicyRule,
};
use shoalway_overlay_proto::identity::Roles;
use shoalway_overlay_proto::invite::InvitedEntry;
use shoalway_types::ByteCount;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

const KIBPS: u32 = 1_024;
/// Ports of `common`: web, mail for those who log in, shells, names, chat.
const COMMON: [(u16, u16); 18] = [
    (20, 23),
    (43, 43),
    (53, 53),
    (79, 81),
    (88, 88),
    (110, 110),
    (143, 143),
    (220, 220),
    (389, 389),
    (443, 443),
    (464, 465),
    (587, 587),
    (636, 636),
    (853, 853),
    (993, 995),
    (1_194, 1_194),
    (5_222, 5_223),
    (8_000, 9_000),
];
const REFUSED: PolicyRule = PolicyRule { allow: false, low: 25, high: 25 };

/// The sites, with the node's among them.
pub(super) fn with_site(
    sites: &BTreeMap<String, SiteSection>,
    node: Option<&NodeSection>,
    check: &mut Check<'_>,
) -> BTreeMap<String, SiteSection> {
    let mut all = sites.clone();
    let Some((node, host)) = node.and_then(|node| Some((node, node.host.as_ref()?))) else { return all };
    check.enter(&["node"]);
    let tls = node.tls.clone().map(|NodeTlsSection { cert, key, ocsp }| SiteTlsSection {
        cert,
        key,
        ocsp,
        client_ca: None,
    });
    let mut site =
        SiteSection { listen: node.listen.clone(), tls, acme: node.acme.clone(), ..SiteSection::default() };
    match node.cover.as_ref().map(|cover| (&cover.files, &cover.to)) {
        Some((Some(files), None)) => {
            let path = std::path::absolute(check.path(files)).unwrap_or_else(|_| check.path(files));
            if !path.is_dir() && !check.surroundings.is_given(&path) {
                let problem =
                    Problem::new(Code::Node, files.place(), format!("{} is no directory", path.display()));
                check.add(problem.label("this is what everybody else sees"));
            }
            let route = format!("* => files:{}", path.display());
            site.routes = Many::default_of(&[&route]);
        }
        Some((None, Some(to))) => site.to = Many::of(vec![to.clone()]),
        Some((Some(both), Some(_))) => {
            check.add(Problem::new(
                Code::Node,
                both.place(),
                "`cover` has both `files` and `to`: one of them",
            ));
        }
        Some((None, None)) | None if check.is_lost("cover") => {}
        Some((None, None)) | None => {
            let problem = Problem::new(Code::Missing, NOWHERE, "[node] has no `cover`");
            check
                .add(problem.fix("write cover = { files = \"site\" } or { to = \"http://127.0.0.1:8080\" }"));
            return all;
        }
    }
    if site.tls.is_none() && site.acme.is_none() && !check.is_lost("tls") && !check.is_lost("acme") {
        let problem = Problem::new(Code::Missing, NOWHERE, "[node] has neither `tls` nor `acme`");
        check.add(problem.fix("write acme = true, or tls = { cert = \"site.pem\", key = \"site.key\" }"));
    }
    if all.insert(host.get().clone(), site).is_some() {
        let message = format!("`{}` is a site already", host.get());
        check.add(Problem::new(Code::SameSite, host.place(), message));
    }
    all
}

/// Checks `[node]`; `content` gains what its files hold.
pub(super) fn node(
    section: &NodeSection,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<NodeSettings> {
    check.enter(&["node"]);
    required(section, check);
    let network = section.network.as_ref().and_then(|at| network_file(at, content, check));
    let publish = section.publish.as_ref().and_then(|section| publish(section, content, check));
    let id = network.as_ref().map(|(network, _)| *network.id());
    let directory = directory(section, id, content, check);
    let roles = section.roles.as_ref().map(|list| roles(list, check));
    let policy = policy(section.policy.as_ref(), check);
    let least = ByteCount(1 << 30);
    let monthly = section.monthly.as_ref();
    let monthly = monthly.map(|at| check.size("monthly", at, least..=ByteCount(u64::MAX)).0);
    let leave_from = section.leave_from.as_ref().and_then(|at| leave_from(at, check));
    let operator = section.operator.as_ref().and_then(|at| wallet(at, check));
    let family = section.family.as_ref().map_or(&[][..], Many::items);
    let family = family.iter().filter_map(|at| wallet(at, check)).take(FAMILY_MOST).collect();
    let here = section.country.as_ref().and_then(|at| country(at, check));
    let roots = section.ca.as_ref().map(|at| roots(at, content, check)).unwrap_or_default();
    let state = section.state.as_ref();
    let state = state.map_or_else(|| default_state("node", check), |at| check.path(at));
    let keystore = keystore(section, check);
    let (network, file) = network?;
    let endpoints = endpoints(section, network.is_lab(), check)?;
    Some(NodeSettings {
        network: *network.id(),
        lab: network.is_lab(),
        file,
        site: section.host.as_ref()?.get().clone(),
        path: section.path.as_ref()?.get().clone(),
        cookie: section.cookie.as_ref()?.get().clone(),
        endpoints,
        listed: section.listed.as_ref().map(|at| *at.get()),
        delegation: keystore.with_extension("delegation"),
        node_key: keystore.with_extension("nodekey"),
        roles,
        directory,
        publish,
        policy,
        monthly,
        leave_from,
        operator,
        family,
        country: here.unwrap_or(NO_COUNTRY),
        asn: section.asn.as_ref().map(number).unwrap_or_default(),
        kibps: section.kibps.as_ref().map_or(KIBPS, number),
        state,
        roots,
    })
}

/// Notes what nobody has written.
fn required(section: &NodeSection, check: &mut Check<'_>) {
    for (name, missing) in [
        ("network", section.network.is_none()),
        ("host", section.host.is_none()),
        ("path", section.path.is_none()),
        ("cookie", section.cookie.is_none()),
        ("listen", section.listen.items().is_empty()),
    ] {
        if missing && !check.is_lost(name) {
            let problem = Problem::new(Code::Missing, NOWHERE, format!("[node] has no `{name}`"));
            check.add(problem.fix("`shoalway node setup` writes a whole section"));
        }
    }
    let neither = section.publish.is_none() && section.directory.is_none();
    if neither && !check.is_lost("directory") && !check.is_lost("publish") {
        let problem = Problem::new(Code::Missing, NOWHERE, "[node] has neither `directory` nor `publish`");
        check.add(problem.fix("write directory = \"directory.invite\": the operator of the network has it"));
    }
}

/// The nodes of the directory that one was invited to, all of the network with this name.
fn directory(
    section: &NodeSection,
    id: Option<[u8; 32]>,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Vec<InvitedEntry> {
    let Some(files) = &section.directory else { return Vec::new() };
    let Some((of, entries)) = invitations(files, content, check) else { return Vec::new() };
    if let (Some(at), true) = (files.items().first(), id.is_some_and(|id| id != of)) {
        let message = "it is of another network than the network file";
        check.add(Problem::new(Code::Invitation, at.place(), message));
    }
    entries
}

fn leave_from(at: &At<String>, check: &mut Check<'_>) -> Option<IpAddr> {
    let address = at.get().parse().ok();
    if address.is_none() {
        check.add(Problem::new(Code::Node, at.place(), format!("`{}` is no address", at.get())));
    }
    address
}

/// The wallet's file, beside which the delegation is.
fn keystore(section: &NodeSection, check: &Check<'_>) -> PathBuf {
    let name = section.wallet.as_ref();
    match name.filter(|at| at.get().contains('/') || Path::new(at.get()).extension().is_some()) {
        Some(at) => check.path(at),
        None => {
            let dir =
                section.keys.as_ref().map_or_else(|| keys_directory(check.surroundings), |at| check.path(at));
            dir.join(format!("{}.json", name.map_or("node", |at| at.get().as_str())))
        }
    }
}

fn roles(list: &Many, check: &mut Check<'_>) -> Roles {
    let mut roles = Roles::NONE;
    for at in list.items() {
        match Roles::named(at.get()) {
            Some(role) => roles = roles | role,
            None => {
                check.add(super::unknown_word("roles", at, &["entry", "middle", "exit", "directory"], &[]))
            }
        }
    }
    roles
}

fn publish(
    section: &PublishSection,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<PublishSettings> {
    check.enter(&["node", "publish"]);
    for (name, missing) in [("keys", section.keys.items().is_empty()), ("roll", section.roll.is_none())] {
        if missing && !check.is_lost(name) {
            let problem = Problem::new(Code::Missing, NOWHERE, format!("`publish` has no `{name}`"));
            check.add(problem.fix("write publish = { keys = [\"directory-0.key\"], roll = \"roll\" }"));
        }
    }
    let mut keys = Vec::new();
    for at in section.keys.items() {
        if let Some(file) = check.read(at, "the key of the directory") {
            check.key_is_private(at, &file.path);
            keys.push(file.path);
        }
    }
    let affinity = section.affinity.as_ref().and_then(|at| check.read(at, "the file of domains"));
    let affinity = affinity.map(|file| file.text).unwrap_or_default();
    content.push(affinity.clone());
    let roll = section.roll.as_ref().and_then(|at| check.read(at, "the roll"))?.path;
    check.enter(&["node"]);
    Some(PublishSettings { keys, roll, affinity })
}

/// Ports, with 25 refused before anything else.
fn policy(words: Option<&Many>, check: &mut Check<'_>) -> Vec<PolicyRule> {
    let mut rules = vec![REFUSED];
    let common = || COMMON.iter().map(|(low, high)| PolicyRule { allow: true, low: *low, high: *high });
    let Some(words) = words else {
        rules.extend(common());
        return rules;
    };
    for at in words.items() {
        match at.get().as_str() {
            "common" => rules.extend(common()),
            "all" => rules.push(PolicyRule { allow: true, low: 1, high: u16::MAX }),
            word => match ports(word) {
                Some(rule) => rules.push(rule),
                None => {
                    let problem = Problem::new(Code::Node, at.place(), format!("`{word}` is no port"));
                    check.add(
                        problem.label("a port, `LOW-HIGH`, either with `!` before it, `common` or `all`"),
                    );
                }
            },
        }
    }
    if rules.len() > POLICY_MOST {
        let place = words.items().first().map_or(NOWHERE, At::place);
        check.add(Problem::new(
            Code::Node,
            place,
            format!("over {POLICY_MOST} lines of `policy`; `common` counts as {}", COMMON.len()),
        ));
    }
    rules
}

fn ports(word: &str) -> Option<PolicyRule> {
    let (allow, word) = match word.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, word),
    };
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low > 0 && low <= high).then_some(PolicyRule { allow, low, high })
}

/// Where others reach the node.
fn endpoints(section: &NodeSection, lab: bool, check: &mut Check<'_>) -> Option<Vec<Endpoint>> {
    let (host, path, cookie) = (section.host.as_ref()?, section.path.as_ref()?, section.cookie.as_ref()?);
    let written = section.public.as_ref().unwrap_or(&section.listen);
    let mut endpoints = Vec::new();
    for at in written.items() {
        // An address to listen on is checked as one of the site.
        let parsed = if section.public.is_some() { address(at, check) } else { at.get().parse().ok() };
        let Some(address): Option<SocketAddr> = parsed else { continue };
        let endpoint = Endpoint {
            address,
            sni: host.get().clone(),
            path: path.get().clone(),
            cookie: cookie.get().clone(),
            binding: BindingKind::Exporter,
        };
        let form = endpoint.check_form().and_then(|()| endpoint.check_place(lab));
        // Port 0 is for labs that ask afterwards which one it became.
        if let Err(error) = form {
            use shoalway_overlay_proto::descriptor::EndpointError as E;
            let place = match error {
                E::Place | E::Mapped | E::Port => at.place(),
                E::Sni => host.place(),
                E::Path => path.place(),
                E::Cookie => cookie.place(),
            };
            let problem = Problem::new(Code::Node, place, error.to_string());
            check.add(problem.fix("`public` names the addresses under which others reach the node"));
            return None;
        }
        endpoints.push(endpoint);
    }
    endpoints.truncate(shoalway_overlay_proto::descriptor::ENDPOINTS_MOST);
    Some(endpoints)
}
