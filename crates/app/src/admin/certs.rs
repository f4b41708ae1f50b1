//! Certificates over the control socket: how each name fares, a renewal now, a rehearsal.
//!
//! Not here: ordering (`cert`), the text of `shoalway cert` (`operate/certs`).

use crate::cert::{CertError, CertKeeper, CertName, Listed};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::SystemTime;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: String,
    #[serde(rename = "do")]
    what: Act,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    Renew,
    DryRun,
}

/// All names as they are now.
#[must_use]
pub(super) fn listed(keeper: Option<&CertKeeper>) -> Vec<Listed> {
    keeper.map(|keeper| keeper.status(SystemTime::now())).unwrap_or_default()
}

/// The same as JSON.
#[must_use]
pub(super) fn all(keeper: Option<&CertKeeper>) -> Value {
    json!({ "certificates": listed(keeper).iter().map(Listed::to_json).collect::<Vec<_>>() })
}

/// Names that have no certificate that is valid now, in a line for each; nothing when all have one. They are no reason to
/// take no clients: an authority that checks a name is one.
#[must_use]
pub(super) fn missing(keeper: Option<&CertKeeper>) -> String {
    let line = |one: &Listed| {
        let why =
            one.error.as_ref().map(|error| format!(": {} {}", error.code, error.text)).unwrap_or_default();
        format!("no certificate for {}{why}\n", one.name)
    };
    listed(keeper).iter().filter(|one| one.state != "valid").map(line).collect()
}

/// The same for the status, in short.
#[must_use]
pub(super) fn brief(keeper: Option<&CertKeeper>) -> Value {
    let one = |one: &Listed| {
        let error = one.error.as_ref().map(|error| error.code.as_str());
        json!({ "name": one.name, "state": one.state, "until": one.until.map(crate::cert::seconds), "error": error })
    };
    Value::Array(listed(keeper).iter().map(one).collect())
}

/// Does what is asked; status and answer.
pub(super) async fn act(keeper: Option<Arc<CertKeeper>>, body: &[u8]) -> (u16, Value) {
    let asked: Asked = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return (400, json!({ "ok": false, "error": error.to_string(), "hint": "" })),
    };
    let done = match (CertName::parse(&asked.name), keeper) {
        (Err(error), _) => Err(error),
        (Ok(name), None) => Err(CertError::Unknown { name: name.to_string() }),
        (Ok(name), Some(keeper)) => match asked.what {
            Act::Renew => Box::pin(keeper.renew(&name))
                .await
                .map(|until| json!({ "until": crate::cert::seconds(until) })),
            Act::DryRun => Box::pin(keeper.dry_run(&name)).await.map(|at| json!({ "rehearsed_at": at })),
        },
    };
    match done {
        Ok(done) => (200, json!({ "ok": true, "name": asked.name, "done": done })),
        Err(error) => {
            let status = if matches!(error, CertError::Unknown { .. }) { 404 } else { 409 };
            let (code, text, hint) = (error.code(), error.to_string(), error.hint());
            let exit = error.exit().code();
            let name = asked.name;
            (
                status,
                json!({ "ok": false, "name": name, "code": code, "error": text, "hint": hint, "exit": exit }),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::{Authority, CertSettings};
    use shoalway_net::acme_challenges::AcmeChallenges;
    use shoalway_net::resolver::{Resolver, ResolverConfig};
    use shoalway_testkit::TempDir;
    use tokio::runtime::Handle;

    #[tokio::test]
    async fn what_is_asked_is_done_or_refused_with_a_reason() {
        let dir = TempDir::new();
        let resolver = Resolver::new(ResolverConfig::default(), Handle::current()).unwrap();
        let names = ["nas.internal", "*.shop.example"]
            .map(|text| (CertName::parse(text).unwrap(), Arc::<Authority>::default()));
        let settings = CertSettings::new(dir.join("certs"));
        let keeper = CertKeeper::open(settings, resolver, AcmeChallenges::new(), &names).unwrap();
        for (kept, body, status, holds) in [
            (true, r#"{"do":"renew","name":"nas.internal"}"#, 200, r#""until":"#),
            (true, r#"{"do":"dry-run","name":"NAS.internal"}"#, 200, r#""rehearsed_at":"local""#),
            (true, r#"{"do":"renew","name":"*.shop.example"}"#, 409, r#""code":"A012""#),
            (true, r#"{"do":"renew","name":"other.internal"}"#, 404, r#""code":"A016""#),
            (true, r#"{"do":"renew","name":"a b"}"#, 409, r#""code":"A015""#),
            (true, r#"{"do":"revoke","name":"nas.internal"}"#, 400, "unknown variant"),
            (true, "", 400, "EOF"),
            (false, r#"{"do":"renew","name":"nas.internal"}"#, 404, r#""code":"A016""#),
        ] {
            let (code, answer) = act(kept.then(|| Arc::clone(&keeper)), body.as_bytes()).await;
            let text = answer.to_string();
            assert!(code == status && text.contains(holds), "{body}: {code} {text}");
        }
        assert!(missing(Some(&keeper)).starts_with("no certificate for *.shop.example: A012 "));
        assert_eq!(missing(None), "");
        assert_eq!(brief(Some(&keeper)).pointer("/1/state"), Some(&json!("valid")));
        let all = all(Some(&keeper));
        assert_eq!(all.pointer("/certificates/1/state"), Some(&json!("valid")));
        assert_eq!(all.pointer("/certificates/0/error/code"), Some(&json!("A012")));
    }
}
