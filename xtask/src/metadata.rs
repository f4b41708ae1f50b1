//! What `cargo metadata` says, in the few words the other commands need.
//!
//! Not here: any judgement (`deps.rs`).

use crate::steps::output;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// All packages of a build and the edges between them.
pub(crate) struct Metadata {
    packages: Vec<Package>,
    /// Package id to the ids of its normal dependencies, as resolved.
    normal: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
}

/// One package, ours or another's.
pub(crate) struct Package {
    /// Cargo's own name for exactly this package.
    pub(crate) id: String,
    /// Name in the registry.
    pub(crate) name: String,
    /// Version, as text.
    pub(crate) version: String,
    /// SPDX expression, empty when there is none.
    pub(crate) license: String,
    /// Where it came from; none for a path.
    pub(crate) source: Option<String>,
    /// Its direct dependencies as its manifest names them.
    pub(crate) dependencies: Vec<Dependency>,
    has_library: bool,
}

/// One line of a manifest's `[dependencies]` or its sisters.
pub(crate) struct Dependency {
    /// Name in the registry.
    pub(crate) name: String,
    /// Whether it is for tests only.
    pub(crate) dev: bool,
    /// Whether it lies in this repository.
    pub(crate) ours: bool,
}

/// The workspace with everything it is resolved to.
pub(crate) fn load() -> Result<Metadata> {
    let text = output("cargo", &["metadata", "--format-version", "1", "--locked"])?;
    Metadata::read(&text)
}

impl Metadata {
    /// Takes the JSON of format version 1 apart.
    fn read(text: &str) -> Result<Self> {
        let all: Value = serde_json::from_str(text).context("cargo metadata printed no JSON")?;
        let mut normal = BTreeMap::new();
        for node in list(all.get("resolve").unwrap_or(&Value::Null), "nodes") {
            let to = list(node, "deps").iter().filter(|dep| is_normal(dep)).map(|dep| text_of(dep, "pkg"));
            normal.insert(text_of(node, "id"), to.collect());
        }
        Ok(Self {
            packages: list(&all, "packages").iter().map(Package::read).collect(),
            normal,
            members: list(&all, "workspace_members")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Every package of the build.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The packages of this repository.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.members.contains(&package.id))
    }

    /// Names of the packages of this repository.
    pub(crate) fn member_names(&self) -> Vec<String> {
        self.members().map(|package| package.name.clone()).collect()
    }

    /// Whether a package of this repository has a library, which may have doc tests.
    pub(crate) fn has_library(&self, name: &str) -> bool {
        self.members().any(|package| package.name == name && package.has_library)
    }

    /// Everything that is linked into `package`, without what only its tests or build scripts need.
    pub(crate) fn tree(&self, package: &Package) -> Vec<&Package> {
        let mut seen = BTreeSet::new();
        let mut open = vec![package.id.as_str()];
        while let Some(id) = open.pop() {
            let next = self.normal.get(id).into_iter().flatten();
            open.extend(next.map(String::as_str).filter(|next| seen.insert(*next)));
        }
        self.packages.iter().filter(|package| seen.contains(package.id.as_str())).collect()
    }
}

impl Package {
    fn read(value: &Value) -> Self {
        let of_library = |target: &Value| {
            list(target, "kind").iter().filter_map(Value::as_str).any(|kind| kind.ends_with("lib"))
        };
        Self {
            id: text_of(value, "id"),
            name: text_of(value, "name"),
            version: text_of(value, "version"),
            license: text_of(value, "license"),
            source: value.get("source").and_then(Value::as_str).map(str::to_owned),
            dependencies: list(value, "dependencies").iter().map(Dependency::read).collect(),
            has_library: list(value, "targets").iter().any(of_library),
        }
    }
}

#[cfg(test)]
impl Package {
    /// A package of ours with nothing but a name and dependencies.
    pub(crate) fn named(name: &str, dependencies: Vec<Dependency>) -> Self {
        let mut package = Self::read(&Value::Null);
        package.name = name.to_owned();
        package.dependencies = dependencies;
        package
    }
}

impl Dependency {
    fn read(value: &Value) -> Self {
        Self {
            name: text_of(value, "name"),
            dev: value.get("kind").and_then(Value::as_str) == Some("dev"),
            ours: value.get("path").is_some_and(Value::is_string),
        }
    }
}

/// A dependency's kind is null when it is neither for tests nor for build scripts.
fn is_normal(dep: &Value) -> bool {
    list(dep, "dep_kinds").iter().any(|kind| kind.get("kind").is_none_or(Value::is_null))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` links `b`, its tests use `c`; `b` links `d`.
    const SMALL: &str = r#"{
        "workspace_members": ["a"],
        "packages": [
            {"id": "a", "name": "a", "dependencies": [{"name": "b", "kind": null}, {"name": "c", "kind": "dev", "path": "x"}]},
            {"id": "b", "name": "b"}, {"id": "c", "name": "c"}, {"id": "d", "name": "d"}
        ],
        "resolve": {"nodes": [
            {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "b", "deps": [{"pkg": "d", "dep_kinds": [{"kind": "build"}, {"kind": null}]}]}
        ]}
    }"#;

    #[test]
    fn what_is_linked_is_followed_and_what_tests_use_is_not() -> Result<()> {
        let metadata = Metadata::read(SMALL)?;
        let member = metadata.members().next().context("no member")?;
        let linked: Vec<_> = metadata.tree(member).iter().map(|package| package.name.as_str()).collect();
        assert_eq!(linked, ["b", "d"]);
        let kinds: Vec<_> = member.dependencies.iter().map(|d| (d.name.as_str(), d.dev, d.ours)).collect();
        assert_eq!(kinds, [("b", false, false), ("c", true, true)]);
        Ok(())
    }
}
