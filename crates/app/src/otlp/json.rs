//! Spans as the JSON form of OTLP: the protobuf JSON mapping, with ids in hexadecimal (OTLP specification, "JSON Protobuf
//! Encoding"). Names of attributes are those of OpenTelemetry's semantic conventions for HTTP; our own begin `shoalway.`.
//!
//! What the log's privacy level withholds is not written here either. Not here: sending.

use crate::config::file::LogPrivacy;
use crate::log::masked;
use serde_json::{Value, json};
use shoalway_reverse::trace::{RequestSpan, TrySpan};
use std::time::Duration;

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

/// Writes batches.
pub(super) struct Writer {
    pub(super) service: String,
    pub(super) privacy: LogPrivacy,
}

impl Writer {
    /// An `ExportTraceServiceRequest`.
    pub(super) fn write(&self, batch: &[RequestSpan]) -> Vec<u8> {
        let spans: Vec<Value> = batch.iter().flat_map(|span| self.request(span)).collect();
        let version = env!("CARGO_PKG_VERSION");
        let resource = [text("service.name", &self.service), text("service.version", version)];
        let scope = json!({ "name": "shoalway", "version": version });
        json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }] })
        .to_string()
        .into_bytes()
    }

    fn request(&self, span: &RequestSpan) -> Vec<Value> {
        let began = Duration::from_millis(span.started_ms);
        let method = if span.method.is_empty() { "HTTP" } else { &span.method };
        let mut attributes = vec![
            text("http.request.method", method),
            number("http.response.status_code", span.status.into()),
            number("http.request.body.size", span.bytes_up),
            number("http.response.body.size", span.bytes_down),
            text("shoalway.listener", &span.listener),
            text("shoalway.verb", span.verb),
            number("shoalway.route", span.route.into()),
            text("shoalway.outcome", span.outcome),
        ];
        self.names(span, &mut attributes);
        let mut value = json!({
            "traceId": format!("{:032x}", span.trace),
            "spanId": format!("{:016x}", span.id),
            "name": method,
            "kind": SERVER,
            "startTimeUnixNano": nanos(began),
            "endTimeUnixNano": nanos(began + span.elapsed),
            "attributes": attributes,
            "status": status(span.status, span.outcome, 500),
        });
        if let (Some(parent), Value::Object(fields)) = (span.parent, &mut value) {
            fields.insert("parentSpanId".into(), format!("{parent:016x}").into());
        }
        let tries = span.tries.iter().map(|one| self.one_try(span, method, began, one));
        [value].into_iter().chain(tries).collect()
    }

    /// Who asked whom for what, as far as the level allows.
    fn names(&self, span: &RequestSpan, attributes: &mut Vec<Value>) {
        match self.privacy {
            LogPrivacy::Counts => return,
            LogPrivacy::Masked => attributes.push(text("client.address", &masked(span.client.ip()))),
            LogPrivacy::Full => {
                attributes.push(text("client.address", &span.client.ip().to_canonical().to_string()));
                attributes.push(text("url.path", &String::from_utf8_lossy(&span.path)));
            }
        }
        if let Some(target) = &span.target {
            attributes.push(text("server.address", &target.host.to_string()));
            attributes.push(number("server.port", target.port.into()));
        }
    }

    fn one_try(&self, span: &RequestSpan, method: &str, request: Duration, one: &TrySpan) -> Value {
        let began = request + one.after;
        let mut attributes = vec![
            text("http.request.method", method),
            number("http.response.status_code", one.status.into()),
            text("shoalway.outcome", one.outcome),
        ];
        match self.privacy {
            LogPrivacy::Counts | LogPrivacy::Masked => {}
            LogPrivacy::Full => attributes.push(text("shoalway.endpoint", &one.endpoint)),
        }
        json!({
            "traceId": format!("{:032x}", span.trace),
            "spanId": format!("{:016x}", one.id),
            "parentSpanId": format!("{:016x}", span.id),
            "name": format!("{method} upstream"),
            "kind": CLIENT,
            "startTimeUnixNano": nanos(began),
            "endTimeUnixNano": nanos(began + one.elapsed),
            "attributes": attributes,
            "status": status(one.status, one.outcome, 400),
        })
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// 64-bit numbers are strings in this mapping.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn nanos(since_1970: Duration) -> String {
    since_1970.as_nanos().to_string()
}

/// Statuses from `first_bad` on are errors: 500 for who answers, 400 for who asks.
fn status(status: u16, outcome: &str, first_bad: u16) -> Value {
    let good = outcome == "ok" && status < first_bad;
    if good { json!({}) } else { json!({ "code": FAILED, "message": outcome }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_types::{Host, Target};

    fn span() -> RequestSpan {
        RequestSpan {
            trace: 0xabc,
            id: 0x12,
            parent: Some(0x34),
            listener: "sites 127.0.0.1:8080".into(),
            started_ms: 1_700_000_000_123,
            elapsed: Duration::from_micros(2_500),
            method: "GET".into(),
            target: Some(Target::new(Host::parse("app.example").unwrap(), 443)),
            path: b"/private"[..].into(),
            client: "192.0.2.77:5000".parse().unwrap(),
            verb: "upstream",
            route: 2,
            status: 503,
            outcome: "connection_refused",
            bytes_up: 1,
            bytes_down: 2,
            tries: vec![TrySpan {
                id: 0x56,
                endpoint: "10.0.0.1:80".into(),
                after: Duration::from_millis(1),
                elapsed: Duration::from_millis(1),
                status: 0,
                outcome: "connection_refused",
            }],
        }
    }

    fn written(privacy: LogPrivacy) -> (Value, String) {
        let bytes = Writer { service: "edge".into(), privacy }.write(&[span()]);
        (serde_json::from_slice(&bytes).unwrap(), String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_and_its_try_are_parent_and_child() {
        let (value, _) = written(LogPrivacy::Counts);
        let resource = &value["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "edge");
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 2);
        let (request, one) = (&spans[0], &spans[1]);
        assert_eq!(request["traceId"], "00000000000000000000000000000abc");
        assert_eq!(
            (&request["spanId"], &request["parentSpanId"]),
            (&json!("0000000000000012"), &json!("0000000000000034"))
        );
        assert_eq!(one["traceId"], request["traceId"]);
        assert_eq!(one["parentSpanId"], request["spanId"]);
        assert_eq!((&request["kind"], &one["kind"]), (&json!(2), &json!(3)));
        assert_eq!(request["startTimeUnixNano"], "1700000000123000000");
        assert_eq!(request["endTimeUnixNano"], "1700000000125500000");
        assert_eq!(one["startTimeUnixNano"], "1700000000124000000");
        assert_eq!(request["status"], json!({ "code": 2, "message": "connection_refused" }));
    }

    #[test]
    fn no_more_is_told_than_the_log_may_tell() {
        for (privacy, told, withheld) in [
            (LogPrivacy::Counts, vec![], vec!["192.0.2", "app.example", "/private", "10.0.0.1"]),
            (
                LogPrivacy::Masked,
                vec!["192.0.2.0/24", "app.example"],
                vec!["192.0.2.77", "/private", "10.0.0.1"],
            ),
            (LogPrivacy::Full, vec!["\"192.0.2.77\"", "app.example", "/private", "10.0.0.1:80"], vec![]),
        ] {
            let (_, text) = written(privacy);
            assert!(told.iter().all(|part| text.contains(part)), "{privacy:?} {text}");
            assert!(!withheld.iter().any(|part| text.contains(part)), "{privacy:?} {text}");
        }
    }
}
