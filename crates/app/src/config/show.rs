//! Every value of a configuration with its origin, for `config show`.
//!
//! Values are shown as they were written, before substitution, and passwords in URLs are masked, so that the
//! output can be passed on.

use super::file::File;
use super::source::{Location, Sources};
use serde::Deserialize;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The table it stands in, outermost first.
    pub table: Vec<String>,
    /// Its key.
    pub key: String,
    /// The value, passwords masked.
    pub value: toml::Value,
    /// Where it was written; none for a default.
    pub origin: Option<Location>,
}

/// All values, tables in order.
#[derive(Debug, Clone, Default)]
pub struct View {
    entries: Vec<Entry>,
}

/// Whether to show where each value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Only values.
    Hidden,
    /// As a comment after each.
    Shown,
}

impl View {
    pub(super) fn new(file: &File, written: &DeTable<'_>, sources: &Sources) -> Self {
        let mut view = Self::default();
        if let Ok(Json::Object(mut effective)) = serde_json::to_value(file) {
            // The version is always shown first; what an include brought in is shown in its place.
            effective.remove("version");
            effective.remove("include");
            view.walk(&effective, Some(written), &[], sources);
        }
        // Keys of the table itself come before its inner tables: TOML has no way back out of a table.
        view.entries.sort_by(|a, b| a.table.cmp(&b.table));
        view
    }

    fn walk(
        &mut self,
        effective: &serde_json::Map<String, Json>,
        written: Option<&DeTable<'_>>,
        table: &[String],
        sources: &Sources,
    ) {
        for (key, value) in effective {
            let there = written.and_then(|table| table.get(key.as_str()));
            // A table that was written as `true` is shown as it was written.
            let switched = there.is_some_and(|there| there.get_ref().is_bool());
            if let Json::Object(inner) = value
                && !switched
            {
                let path: Vec<String> = table.iter().cloned().chain([key.clone()]).collect();
                self.walk(inner, there.and_then(|there| there.get_ref().as_table()), &path, sources);
                continue;
            }
            let origin = there.and_then(|there| sources.locate(&there.span()));
            let shown = there.and_then(as_written).or_else(|| toml::Value::try_from(value).ok());
            if let Some(value) = shown.map(masked) {
                self.entries.push(Entry { table: table.to_vec(), key: key.clone(), value, origin });
            }
        }
    }

    /// The values.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// As a TOML file that means the same, but for masked passwords.
    #[must_use]
    pub fn to_toml(&self, origin: Origin) -> String {
        let mut out = "version = 1\n".to_owned();
        let mut table: &[String] = &[];
        for entry in &self.entries {
            if entry.table != table {
                table = &entry.table;
                let name: Vec<String> = table.iter().map(|part| quoted(part)).collect();
                out.push_str(&format!("\n[{}]\n", name.join(".")));
            }
            let comment = match (&entry.origin, origin) {
                (_, Origin::Hidden) => String::new(),
                (Some(at), Origin::Shown) => format!("  # {}:{}", at.file, at.line),
                (None, Origin::Shown) => "  # default".to_owned(),
            };
            out.push_str(&format!("{} = {}{comment}\n", quoted(&entry.key), entry.value));
        }
        out
    }

    /// As one JSON object: `{"values": [{"key", "value", "origin"}]}`, where the origin of a default is null.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let values = self.entries.iter().map(|entry| {
            let key: Vec<&str> = entry.table.iter().map(String::as_str).chain([entry.key.as_str()]).collect();
            serde_json::json!({ "key": key.join("."), "value": entry.value, "origin": entry.origin })
        });
        serde_json::json!({ "values": values.collect::<Vec<_>>() })
    }
}

fn as_written(value: &Spanned<DeValue<'_>>) -> Option<toml::Value> {
    toml::Value::deserialize(ValueDeserializer::from(value.clone())).ok()
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    }
}

/// The value with the password of a URL replaced, unless it is a substitution.
fn masked(value: toml::Value) -> toml::Value {
    let toml::Value::String(text) = value else { return value };
    toml::Value::String(mask(&text).unwrap_or(text))
}

fn mask(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (user, host) = rest.rsplit_once('@')?;
    let (user, password) = user.split_once(':')?;
    let is_reference = password.starts_with("${") && password.ends_with('}') && !password.contains(":-");
    (!is_reference).then(|| format!("{scheme}://{user}:***@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_and_references_are_not() {
        for (text, shown) in [
            ("socks5://me:secret@host:1", Some("socks5://me:***@host:1")),
            ("socks5://me:a@b:c@host:1", Some("socks5://me:***@host:1")),
            ("socks5://me:${file:x}@host:1", None),
            ("socks5://me:${P:-secret}@host:1", Some("socks5://me:***@host:1")),
            ("socks5://host:1", None),
            ("plain", None),
        ] {
            assert_eq!(mask(text).as_deref(), shown, "{text}");
        }
    }
}
