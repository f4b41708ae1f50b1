//! The tables that say how much of an upstream may be under way, what is tried again, and who is put aside.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/bounds`).

use super::{At, Many};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of one upstream may be under way at once. More waits in the `queue`, where there is one, and is else answered
/// with 503, or reset in a stream.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSection {
    /// Most connections in use, 1 to 1000000. Without this key only `limits.connections` holds.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<At<i64>>,
    /// Most requests that wait for a connection to be opened, or in the queue.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pending: At<i64>,
    /// Most requests under way, 1 to 1000000. Without this key there is no limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<At<i64>>,
    /// Most tries after the first under way. 0: nothing is tried again.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub retries: At<i64>,
}

impl Default for BreakerSection {
    fn default() -> Self {
        Self {
            connections: None,
            pending: At::default_of(1_024),
            requests: None,
            retries: At::default_of(64),
        }
    }
}

/// What is tried again, and how often. Only what is safe is: of a request that was sent, one whose method may be carried out
/// twice.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySection {
    /// Tries of one request, the first included. 1: none is tried again.
    #[schemars(range(min = 1, max = 8))]
    pub tries: At<i64>,
    /// Failures that are tried again: `connect` (no connection), `broken` (it ended before its answer, or the answer made
    /// no sense), `timeout` (no answer in time).
    pub on: Many,
    /// Statuses that count as failures and are tried again elsewhere, such as `503` or `500-504`.
    pub status: Many,
    /// Retries as a share of requests, so that a failing upstream does not get its load multiplied. 0% to 1000%.
    #[schemars(extend("format" = "share"))]
    pub budget: At<String>,
    /// Retries a second that there are whatever the share says.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub least: At<i64>,
    /// Retries that quiet times can save up.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub saved: At<i64>,
}

impl Default for RetrySection {
    fn default() -> Self {
        Self {
            tries: At::default_of(3),
            on: Many::default_of(&["connect", "broken", "timeout"]),
            status: Many::default_of(&["502", "503", "504"]),
            budget: At::default_of("20%"),
            least: At::default_of(10),
            saved: At::default_of(100),
        }
    }
}

/// How often another upstream is tried for a connection. Nothing of the client's was sent then.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamRetrySection {
    /// Upstreams that are tried for one connection, the first included. 1: no other.
    #[schemars(range(min = 1, max = 16))]
    pub tries: At<i64>,
    /// Retries as a share of connections. The default is enough for three tries of each, so for two of three upstreams
    /// dead. 0% to 1000%.
    #[schemars(extend("format" = "share"))]
    pub budget: At<String>,
    /// Retries a second that there are whatever the share says.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub least: At<i64>,
    /// Retries that quiet times can save up.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub saved: At<i64>,
}

impl Default for StreamRetrySection {
    fn default() -> Self {
        Self {
            tries: At::default_of(3),
            budget: At::default_of("200%"),
            least: At::default_of(10),
            saved: At::default_of(100),
        }
    }
}

/// When an upstream is put aside for what happens in live traffic.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierSection {
    /// Failures in a row. 0: not for these.
    #[schemars(range(min = 0, max = 10_000))]
    pub failures: At<i64>,
    /// How far its share of successes must be below that of the others. 100%: not for this.
    #[schemars(extend("format" = "share"))]
    pub margin: At<String>,
    /// Requests in an interval below which shares of successes are not compared.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: At<i64>,
    /// How often shares are compared. 100 ms to 1 h.
    #[schemars(extend("format" = "time"))]
    pub interval: At<String>,
    /// How long it is out for the first time; the next time in a row is longer by as much. 100 ms to 1 d.
    #[schemars(extend("format" = "time"))]
    pub out: At<String>,
    /// Longest time out. 100 ms to 1 d.
    #[schemars(extend("format" = "time"))]
    pub longest: At<String>,
    /// Most of the upstreams that may be out at once; the last one never is. 0%: nobody is put aside.
    #[schemars(extend("format" = "share"))]
    pub most: At<String>,
}

impl Default for OutlierSection {
    fn default() -> Self {
        Self {
            failures: At::default_of(5),
            margin: At::default_of("10%"),
            requests: At::default_of(100),
            interval: At::default_of("10s"),
            out: At::default_of("30s"),
            longest: At::default_of("5m"),
            most: At::default_of("50%"),
        }
    }
}

/// How long a request waits where `breaker` lets no more through. Who has waited for too long is answered with 503 and
/// `Retry-After`; so are those for whom `breaker.pending` leaves no place.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSection {
    /// Longest wait in a burst. 1 ms to 10 s.
    #[schemars(extend("format" = "time"))]
    pub longest: At<String>,
    /// Longest wait in a queue that has not been empty for 100 ms, since such a queue only makes everybody late. 1 ms to
    /// 10 s.
    #[schemars(extend("format" = "time"))]
    pub target: At<String>,
}

impl Default for QueueSection {
    fn default() -> Self {
        Self { longest: At::default_of("1s"), target: At::default_of("50ms") }
    }
}

/// When a request that is not answered is sent to another upstream too; whichever answers first counts, and the other one is
/// closed. Only requests that may be carried out twice, and of which the whole is here: GET, HEAD, PUT, DELETE and their like.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeSection {
    /// How long the first is waited for: a time from 1 ms to 1 m, or `p95`, which is what 95 of 100 answers of the last
    /// thousands were faster than; not before a hundred have come.
    #[schemars(extend("format" = "time or p95"))]
    pub after: At<String>,
    /// Second requests as a share of requests, so that a slow upstream does not get its load doubled; one a second there is
    /// whatever the share says. 1% to 100%. They count among `breaker.retries` as well.
    #[schemars(extend("format" = "share"))]
    pub budget: At<String>,
}

impl Default for HedgeSection {
    fn default() -> Self {
        Self { after: At::default_of("p95"), budget: At::default_of("5%") }
    }
}
