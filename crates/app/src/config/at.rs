//! A value with its place, and a list that may be written as one string.
//!
//! Places are offsets into all sources laid end to end (see [`super::source`]); the empty range at 0 means
//! "nobody wrote this, it is the default". Not here: turning a place into file, line and column.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;
use std::borrow::Cow;
use std::ops::Range;

/// A range of offsets over all sources. Empty at 0: no place.
pub type Place = Range<usize>;

/// The place of what nobody wrote.
pub const NOWHERE: Place = 0..0;

/// A value together with the place it was written at.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct At<T>(Spanned<T>);

impl<T> At<T> {
    /// A value nobody wrote.
    #[must_use]
    pub fn default_of(value: impl Into<T>) -> Self {
        Self(Spanned::new(NOWHERE, value.into()))
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Where it was written.
    #[must_use]
    pub fn place(&self) -> Place {
        self.0.span()
    }

    /// Whether somebody wrote it: false for a default.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.0.span() != NOWHERE
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A list of strings; in the file one string stands for a list of one.
///
/// The reader turns the single string into a list before it is deserialised, so that every item has its place.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Many(Vec<At<String>>);

impl Many {
    /// A default list.
    #[must_use]
    pub fn default_of(items: &[&str]) -> Self {
        Self(items.iter().map(|item| At::default_of(*item)).collect())
    }

    /// A list of values that stand somewhere else.
    #[must_use]
    pub const fn of(items: Vec<At<String>>) -> Self {
        Self(items)
    }

    /// The items in order.
    #[must_use]
    pub fn items(&self) -> &[At<String>] {
        &self.0
    }
}

impl JsonSchema for Many {
    fn schema_name() -> Cow<'static, str> {
        "StringOrList".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
