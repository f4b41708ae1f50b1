//! The tree of known keys, derived from the JSON schema of [`File`], so that the two can never disagree.
//!
//! It says which keys a table has and what kind of value each takes; [`super::structure`] walks a document
//! against it. Not here: whether a value makes sense.

use super::file::File;
use super::structure::{has_switch, is_listed};
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::collections::BTreeMap;

/// What may stand at one place of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The kind of value.
    pub kind: Kind,
    /// The documentation for users.
    pub doc: String,
    /// The value when nobody writes one.
    pub default: Option<Value>,
}

/// The kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A table with these keys.
    Table(BTreeMap<String, Shape>),
    /// A table whose keys are names chosen by the user.
    Named(Box<Shape>),
    /// A string; the format is `time`, `size`, `rate`, `share`, `memory`, or empty.
    Text {
        /// What the string holds.
        format: String,
    },
    /// A string or a list of strings.
    Texts,
    /// One of these words, each with its meaning.
    Choice(Vec<(String, String)>),
    /// A whole number, bounds included.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// True or false.
    Boolean,
}

impl Kind {
    /// As a sentence names it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Table(keys) if has_switch(keys) && is_listed(keys) => {
                "true, false, a list of strings or a table".into()
            }
            Self::Table(keys) if has_switch(keys) => "true, false or a table".into(),
            Self::Table(_) | Self::Named(_) => "a table".into(),
            Self::Text { format } => match format.as_str() {
                "" => "a string".into(),
                "time" | "time or off" => "a time in quotes, such as \"10s\"".into(),
                "rate" => "a rate in quotes, such as \"64 B/s\"".into(),
                "share" => "a share in quotes, such as \"50%\"".into(),
                "memory" => "a share or size in quotes, such as \"50%\" or \"512 MiB\"".into(),
                _ => "a size in quotes, such as \"64 KiB\"".into(),
            },
            Self::Texts => "a string or a list of strings".into(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "true or false".into(),
        }
    }
}

impl Shape {
    /// The shape of the whole file.
    #[must_use]
    pub fn of_file() -> Self {
        Self::from_schema(&json_schema())
    }

    /// The shape at a dotted path; a name chosen by the user, or `NAME`, stands for any.
    #[must_use]
    pub fn at(&self, path: &[String]) -> Option<&Self> {
        let [first, rest @ ..] = path else { return Some(self) };
        match &self.kind {
            Kind::Table(keys) => keys.get(first)?.at(rest),
            Kind::Named(inner) => inner.at(rest),
            Kind::Text { .. } | Kind::Texts | Kind::Choice(_) | Kind::Integer { .. } | Kind::Boolean => None,
        }
    }

    /// Every key that takes a value, as a dotted path, `NAME` for names chosen by the user.
    #[must_use]
    pub fn paths(&self) -> Vec<(String, &Self)> {
        let mut all = Vec::new();
        self.collect("", &mut all);
        all
    }

    fn collect<'a>(&'a self, path: &str, all: &mut Vec<(String, &'a Self)>) {
        let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match &self.kind {
            Kind::Table(keys) => keys.iter().for_each(|(key, shape)| shape.collect(&join(key), all)),
            Kind::Named(inner) => inner.collect(&join("NAME"), all),
            Kind::Text { .. } | Kind::Texts | Kind::Choice(_) | Kind::Integer { .. } | Kind::Boolean => {
                all.push((path.to_owned(), self));
            }
        }
    }

    fn from_schema(schema: &Value) -> Self {
        let default = schema.get("default").filter(|value| !value.is_null()).cloned();
        let (mut kind, doc) = (kind_of(schema), text(schema, "description"));
        if let Kind::Named(inner) = &mut kind
            && inner.doc.is_empty()
        {
            // A plain value under a name of the user's: what is said of the table is said of it.
            inner.doc.clone_from(&doc);
        }
        Self { kind, doc, default }
    }
}

fn kind_of(schema: &Value) -> Kind {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let keys = properties.iter().map(|(key, inner)| (key.clone(), Shape::from_schema(inner)));
        return Kind::Table(keys.collect());
    }
    if let Some(inner @ Value::Object(_)) = schema.get("additionalProperties") {
        return Kind::Named(Box::new(Shape::from_schema(inner)));
    }
    if let Some(Value::Array(words)) = schema.get("oneOf") {
        return Kind::Choice(
            words.iter().map(|word| (text(word, "const"), text(word, "description"))).collect(),
        );
    }
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    };
    if is("integer") {
        let bound = |key, missing| schema.get(key).and_then(Value::as_i64).unwrap_or(missing);
        return Kind::Integer { min: bound("minimum", i64::MIN), max: bound("maximum", i64::MAX) };
    }
    if is("boolean") {
        return Kind::Boolean;
    }
    if is("string") {
        return Kind::Text { format: text(schema, "format") };
    }
    Kind::Texts
}

fn text(schema: &Value, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// The JSON schema of the file, for editors.
#[must_use]
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_kind_and_a_text_for_users() {
        let shape = Shape::of_file();
        let paths = shape.paths();
        for (path, at) in &paths {
            assert!(at.doc.len() > 10, "{path} has no documentation");
            let list = matches!(at.kind, Kind::Texts);
            let is_list = [
                "include",
                "rules",
                "proxy.listen",
                "proxy.clients",
                "proxy.auth",
                "proxy.reach",
                "dns.upstream",
                "sites.NAME.listen",
                "sites.NAME.to",
                "sites.NAME.routes",
                "sites.NAME.trusted",
                "sites.NAME.health.status",
                "sites.NAME.acme.challenges",
                "sites.NAME.compress.codings",
                "sites.NAME.compress.types",
                "acme.challenges",
                "sites.NAME.fallback",
                "sites.NAME.retries.on",
                "sites.NAME.retries.status",
                "overlay.invite",
                "overlay.exits.countries",
                "node.listen",
                "node.public",
                "node.roles",
                "node.directory",
                "node.policy",
                "node.family",
                "node.publish.keys",
                "node.acme.challenges",
                "streams.NAME.listen",
                "streams.NAME.to",
                "streams.NAME.trusted",
                "streams.NAME.tls.alpn",
                "streams.NAME.sni.NAME",
                "streams.NAME.health.status",
            ]
            .contains(&path.as_str());
            assert_eq!(list, is_list, "{path}: {:?}", at.kind);
        }
        assert!(paths.len() > 30, "{}", paths.len());
    }

    #[test]
    fn editors_know_that_a_table_with_a_switch_may_be_a_word() {
        let schema = json_schema();
        let site = schema.pointer("/properties/sites/additionalProperties/properties").unwrap();
        let types = |key: &str| site.pointer(&format!("/{key}/type")).unwrap().to_string();
        assert!(types("acme").contains("boolean") && types("acme").contains("object"), "{}", types("acme"));
        assert!(!types("tls").contains("boolean"), "{}", types("tls"));
    }

    #[test]
    fn kinds_follow_the_structs() {
        let shape = Shape::of_file();
        for (path, words) in [
            ("version", "a whole number from 1 to 1"),
            ("runtime.shards", "a whole number from 1 to 1024"),
            ("proxy.level", "one of \"transparent\", \"anonymous\", \"elite\""),
            ("proxy.tls.cert", "a string"),
            ("exits.NAME.url", "a string"),
            ("exits.anything.url", "a string"),
            ("limits.head_timeout", "a time in quotes, such as \"10s\""),
            ("limits.memory", "a share or size in quotes, such as \"50%\" or \"512 MiB\""),
            ("proxy", "a table"),
            ("sites.NAME.acme", "true, false or a table"),
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(shape.at(&path).unwrap().kind.words(), words, "{path:?}");
        }
        assert_eq!(shape.at(&["proxy".into(), "lisen".into()]), None);
    }
}
