//! `deps`: which crate may use which, what the pure crates may link, and why each dependency is there.
//!
//! Works on `cargo metadata` alone, without a network. Licences and sources follow `deny.toml`, so that
//! `cargo deny check bans licenses sources` says the same where it is installed.

mod licence;
mod listed;

use crate::metadata::{self, Metadata, Package};
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Folder of a crate, the crates it may link, the crates only its tests may use.
struct Edges {
    package: &'static str,
    links: &'static [&'static str],
    tests: &'static [&'static str],
}

/// The arrows of ARCHITECTURE.md. They point down only, and products never look sideways.
const EDGES: &[Edges] = &[
    Edges { package: "shoalway-types", links: &[], tests: &[] },
    Edges { package: "shoalway-wire", links: &["shoalway-types"], tests: &[] },
    Edges { package: "shoalway-policy", links: &["shoalway-types"], tests: &[] },
    Edges { package: "shoalway-overlay-proto", links: &["shoalway-types"], tests: &[] },
    Edges { package: "shoalway-wallet", links: &["shoalway-types", "shoalway-overlay-proto"], tests: &[] },
    Edges {
        package: "shoalway-net",
        links: &["shoalway-types", "shoalway-wire", "shoalway-policy"],
        tests: &["shoalway-testkit"],
    },
    Edges {
        package: "shoalway-http",
        links: &["shoalway-types", "shoalway-wire", "shoalway-policy", "shoalway-net"],
        tests: &["shoalway-testkit"],
    },
    Edges {
        package: "shoalway-forward",
        links: &["shoalway-types", "shoalway-wire", "shoalway-policy", "shoalway-net", "shoalway-http"],
        tests: &["shoalway-testkit"],
    },
    Edges {
        package: "shoalway-reverse",
        links: &["shoalway-types", "shoalway-wire", "shoalway-policy", "shoalway-net", "shoalway-http"],
        tests: &["shoalway-testkit"],
    },
    Edges {
        package: "shoalway-overlay",
        links: &[
            "shoalway-types",
            "shoalway-wire",
            "shoalway-policy",
            "shoalway-overlay-proto",
            "shoalway-net",
            "shoalway-http",
        ],
        tests: &["shoalway-testkit", "shoalway-wallet"],
    },
    Edges {
        package: "shoalway",
        links: &[
            "shoalway-types",
            "shoalway-wire",
            "shoalway-policy",
            "shoalway-overlay-proto",
            "shoalway-wallet",
            "shoalway-net",
            "shoalway-http",
            "shoalway-forward",
            "shoalway-reverse",
            "shoalway-overlay",
        ],
        tests: &["shoalway-testkit"],
    },
    Edges {
        package: "shoalway-testkit",
        links: &["shoalway-types", "shoalway-overlay-proto", "shoalway-wallet"],
        tests: &[],
    },
    Edges {
        package: "shoalway-fuzz",
        links: &[
            "shoalway-types",
            "shoalway-wire",
            "shoalway-policy",
            "shoalway-overlay-proto",
            "shoalway-wallet",
            "shoalway-http",
            "shoalway",
        ],
        tests: &[],
    },
    Edges { package: "shoalway-bench", links: &[], tests: &[] },
    Edges { package: "xtask", links: &[], tests: &[] },
];

/// Crates that do no I/O and read no clock.
pub(crate) const PURE: &[&str] =
    &["shoalway-types", "shoalway-wire", "shoalway-policy", "shoalway-overlay-proto", "shoalway-wallet"];

/// What does I/O, or schedules it. A pure crate links none of them.
const IMPURE: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "h2",
    "hickory-resolver",
    "hyper",
    "mio",
    "nix",
    "polling",
    "quinn",
    "reqwest",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-util",
    "ureq",
];

/// What only some crates may name in their manifest: one place that knows it, one place to replace it.
const OWNERS: &[(&str, &[&str])] = &[
    ("anyhow", &["shoalway", "shoalway-bench", "xtask"]),
    ("axum", &["shoalway"]),
    ("clap", &["shoalway"]),
    ("hickory-resolver", &["shoalway-net"]),
    ("httparse", &["shoalway-wire"]),
    ("h2", &["shoalway-http"]),
    ("hyper", &["shoalway", "shoalway-fuzz"]),
    ("schemars", &["shoalway"]),
    ("serde", &["shoalway", "shoalway-bench", "shoalway-overlay-proto", "shoalway-wallet", "xtask"]),
    ("socket2", &["shoalway-net", "shoalway-testkit", "shoalway-bench"]),
    ("toml", &["shoalway", "shoalway-overlay-proto", "xtask"]),
];

/// Fails when an edge, a licence, a source or a reason is not as it should be.
pub(crate) fn run() -> Result<()> {
    let workspace = metadata::load()?;
    let members: Vec<&Package> = workspace.members().collect();

    let mut wrong = Vec::new();
    for package in &members {
        wrong.extend(edges(package));
        wrong.extend(owners(package));
    }
    for package in workspace.members().filter(|package| PURE.contains(&package.name.as_str())) {
        wrong.extend(impure(&workspace, package));
    }
    wrong.extend(licence::check(workspace.packages())?);
    wrong.extend(listed::check(&members)?);

    let twice = duplicates(&workspace);
    println!("{} packages, {} of them ours", workspace.packages().len(), members.len());
    println!("in several versions: {}", if twice.is_empty() { "none".to_owned() } else { twice.join(", ") });
    if wrong.is_empty() {
        return Ok(());
    }
    for line in &wrong {
        println!("{line}");
    }
    bail!("{} findings", wrong.len());
}

fn edges(package: &Package) -> Vec<String> {
    let Some(allowed) = EDGES.iter().find(|edges| edges.package == package.name) else {
        return vec![format!("{} is not in the table of edges in xtask/src/deps.rs", package.name)];
    };
    let mut wrong = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
        let name = dependency.name.as_str();
        let fine = allowed.links.contains(&name) || (dependency.dev && allowed.tests.contains(&name));
        if !fine {
            wrong.push(format!("{} may not use {name}: ARCHITECTURE.md draws no such arrow", package.name));
        }
    }
    wrong
}

fn owners(package: &Package) -> Vec<String> {
    let mut wrong = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| !dependency.dev) {
        let owners = OWNERS.iter().find(|(name, _)| *name == dependency.name).map(|(_, owners)| *owners);
        if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
            wrong.push(format!(
                "{} may not use {}, which has its place elsewhere",
                package.name, dependency.name
            ));
        }
    }
    wrong
}

fn impure(workspace: &Metadata, package: &Package) -> Vec<String> {
    let tree = workspace.tree(package);
    let found = tree.iter().filter(|linked| IMPURE.contains(&linked.name.as_str()));
    found.map(|linked| format!("{} is pure but links {}", package.name, linked.name)).collect()
}

/// Names with several versions among what the program itself links.
fn duplicates(workspace: &Metadata) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for program in workspace.members().filter(|package| package.name == "shoalway") {
        for linked in workspace.tree(program) {
            versions.entry(&linked.name).or_default().push(&linked.version);
        }
    }
    versions.retain(|_, list| list.len() > 1);
    versions.iter().map(|(name, list)| format!("{name} ({})", list.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn wrong(package: &str, dependencies: &[(&str, bool, bool)]) -> Vec<String> {
        let dependencies = dependencies
            .iter()
            .map(|(name, dev, ours)| Dependency { name: (*name).to_owned(), dev: *dev, ours: *ours })
            .collect();
        let package = Package::named(package, dependencies);
        edges(&package).into_iter().chain(owners(&package)).collect()
    }

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        let none: [&str; 0] = [];
        let (ours, not_ours, tests, links) = (true, false, true, false);
        assert_eq!(wrong("shoalway-http", &[("shoalway-net", links, ours)]), none);
        assert_eq!(
            wrong("shoalway-net", &[("shoalway-http", links, ours)]),
            ["shoalway-net may not use shoalway-http: ARCHITECTURE.md draws no such arrow"]
        );
        assert_eq!(wrong("shoalway", &[("shoalway-testkit", tests, ours)]), none);
        assert_eq!(
            wrong("shoalway", &[("shoalway-testkit", links, ours)]),
            ["shoalway may not use shoalway-testkit: ARCHITECTURE.md draws no such arrow"]
        );
        assert_eq!(
            wrong("shoalway-http", &[("socket2", links, not_ours)]),
            ["shoalway-http may not use socket2, which has its place elsewhere"]
        );
        assert_eq!(
            wrong("shoalway-new", &[]),
            ["shoalway-new is not in the table of edges in xtask/src/deps.rs"]
        );
    }
}
