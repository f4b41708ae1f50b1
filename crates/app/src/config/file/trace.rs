//! The section `[trace]`.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/trace`).

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spans of requests to sites, sent to a collector of OpenTelemetry. What they tell of clients and hosts is as in
/// `log.privacy`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSection {
    /// URL of the collector, such as `http://127.0.0.1:4318`: spans are posted (OTLP over HTTP, JSON) to `/v1/traces`, or to
    /// the path that is given. Without this key there are no spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<At<String>>,
    /// How many requests are sampled: a share from `0%` to `100%`, with up to four digits behind the point.
    pub sample: At<String>,
    /// Whose `traceparent` says instead whether a request is sampled.
    pub parent: At<ParentWord>,
    /// Name of this service in traces.
    pub service: At<String>,
}

/// Whose word on sampling counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParentWord {
    /// That of proxies in the `trusted` of a site.
    Trusted,
    /// Every client's.
    Always,
    /// Nobody's.
    Never,
}

impl Default for TraceSection {
    fn default() -> Self {
        Self {
            otlp: None,
            sample: At::default_of("1%"),
            parent: At::default_of(ParentWord::Trusted),
            service: At::default_of("shoalway"),
        }
    }
}
