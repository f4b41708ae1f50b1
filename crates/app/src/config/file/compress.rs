//! The section `compress` of a site.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/compress`).

use super::{At, Many};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Compression of a site's answers for clients that take it: of what comes from its upstreams while it passes, and of files.
/// `compress = true` is enough; a list stands for the codings alone. Secrets that are answered together with what a client
/// sent can be guessed from the length of a compressed answer (BREACH): see docs/guide/compression.md.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("type" = ["boolean", "array", "object"], "items" = { "type": "string" }))]
pub struct CompressSection {
    /// Whether answers are compressed. `compress = true` and `compress = false` are short for a table with this key alone;
    /// with `false` files are not compressed either.
    pub on: At<bool>,
    /// Codings that are offered, `zstd`, `br` and `gzip`; of those a client likes equally the first is used.
    pub codings: Many,
    /// Content types that are compressed besides texts, such as `text/event-stream`, which is left alone otherwise.
    pub types: Many,
}

impl Default for CompressSection {
    fn default() -> Self {
        Self {
            on: At::default_of(true),
            codings: Many::default_of(&["zstd", "br", "gzip"]),
            types: Many::default(),
        }
    }
}
