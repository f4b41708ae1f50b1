//! A certificate authority that speaks ACME (RFC 8555) on loopback and takes the specification at its word.
//!
//! Nonces are good for one use, signatures are checked over the exact octets that came, `url` and `kid` must be those of
//! the request, challenges are looked at by connecting (HTTP-01: RFC 8555 section 8.3; TLS-ALPN-01: RFC 8737), requests
//! for certificates must name what was proven and nothing else, and renewal windows are told (RFC 9773). What no real
//! authority could be asked for can be: refusals, nonces gone bad, names that do not resolve, windows in the past. Not
//! here: revocation, key change, external accounts, DNS-01.

mod http;
mod issue;
mod jws;
mod prove;
mod state;

use crate::ca::TestCa;
use crate::server::Server;
use crate::wait::PATIENCE;
use http::{Answer, Request};
use issue::Issuing;
use serde_json::json;
use state::{Problem, State};
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// The authority. It ends with this value.
pub struct AcmeServer {
    server: Server,
    shared: Arc<Shared>,
    tls: TestCa,
}

/// An order somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeOrder {
    /// The names, as they were written.
    pub names: Vec<String>,
    /// The certificate it is to replace (RFC 9773 section 5).
    pub replaces: Option<String>,
    /// What has become of it: `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: &'static str,
}

struct Shared {
    origin: Mutex<String>,
    script: Mutex<Script>,
    /// It is known where names live.
    known: Condvar,
    state: Mutex<State>,
    issuing: Issuing,
}

/// What the test wants to happen.
struct Script {
    refusals: VecDeque<(String, Problem)>,
    bad_nonces: usize,
    http_at: Option<SocketAddr>,
    tls_at: Option<SocketAddr>,
    no_such_names: HashSet<String>,
    offered: Vec<&'static str>,
    lifetime: Duration,
    window: Option<(SystemTime, SystemTime)>,
}

impl AcmeServer {
    /// Starts it. Names can be proven once [`AcmeServer::find_names_at`] has said where they live.
    #[must_use]
    pub fn start() -> Self {
        let tls = TestCa::new();
        let config = tls.issue(&["127.0.0.1"]).server_config();
        let script = Script {
            refusals: VecDeque::new(),
            bad_nonces: 0,
            http_at: None,
            tls_at: None,
            no_such_names: HashSet::new(),
            offered: vec!["http-01", "tls-alpn-01", "dns-01"],
            lifetime: Duration::from_hours(90 * 24),
            window: None,
        };
        let shared = Arc::new(Shared {
            origin: Mutex::default(),
            script: Mutex::new(script),
            known: Condvar::new(),
            state: Mutex::default(),
            issuing: Issuing::new(),
        });
        let theirs = Arc::clone(&shared);
        let server = Server::start(move |stream, _| {
            http::serve(stream, &config, &|request| theirs.answer(request));
        });
        *shared.origin.lock().expect("origin") = format!("https://{}", server.addr());
        Self { server, shared, tls }
    }

    /// URL of the directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/directory", self.server.addr())
    }

    /// PEM file of the authority that certifies this server itself, for who talks to it.
    #[must_use]
    pub fn tls_root(&self) -> PathBuf {
        self.tls.file()
    }

    /// PEM of the root under which it issues.
    #[must_use]
    pub fn issuing_root(&self) -> String {
        self.shared.issuing.root_pem()
    }

    /// Every name lives here: `http` stands for its port 80, `tls` for its port 443. Whoever wants to be looked at before
    /// it is known where is looked at then.
    pub fn find_names_at(&self, http: SocketAddr, tls: SocketAddr) {
        let mut script = self.script();
        script.http_at = Some(http);
        script.tls_at = Some(tls);
        self.shared.known.notify_all();
    }

    /// This name does not resolve.
    pub fn forget_name(&self, name: &str) {
        self.script().no_such_names.insert(name.to_owned());
    }

    /// Only these kinds of challenge are offered from now on.
    pub fn offer_challenges(&self, kinds: &[&'static str]) {
        self.script().offered = kinds.to_vec();
    }

    /// The next signed request to `resource` (such as `new-order`) is answered with this error of
    /// `urn:ietf:params:acme:error:`, and with `Retry-After` when seconds are given.
    pub fn refuse_next(
        &self,
        resource: &str,
        status: u16,
        kind: &str,
        detail: &str,
        retry_after: Option<u64>,
    ) {
        let problem = Problem::new(status, kind, detail).after(retry_after);
        self.script().refusals.push_back((resource.to_owned(), problem));
    }

    /// So many signed requests are told that their nonce is bad, whatever it is.
    pub fn spoil_nonces(&self, count: usize) {
        self.script().bad_nonces = count;
    }

    /// How long certificates are valid from now on. At first 90 days.
    pub fn issue_for(&self, lifetime: Duration) {
        self.script().lifetime = lifetime;
    }

    /// When certificates should be renewed; at first in the last third of their time.
    pub fn suggest_renewal(&self, from: SystemTime, to: SystemTime) {
        self.script().window = Some((from, to));
    }

    /// All orders so far, the oldest first.
    #[must_use]
    pub fn orders(&self) -> Vec<AcmeOrder> {
        self.shared.state().orders()
    }

    /// Number of accounts that were made.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.shared.state().accounts()
    }

    /// Requests so far whose nonce was not one of ours, or was used before.
    #[must_use]
    pub fn nonces_refused(&self) -> usize {
        self.shared.state().nonces_refused()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("state of the authority")
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("script of the authority")
    }

    fn origin(&self) -> String {
        self.origin.lock().expect("origin").clone()
    }

    /// Every answer but that to a plain GET carries a fresh nonce (RFC 8555 section 6.5).
    fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        let path = request.path.as_str();
        match (request.method.as_str(), path) {
            ("GET", "/directory") => Answer::json(200, &self.directory()),
            ("HEAD", "/new-nonce") => self.fresh(Answer::empty(200)),
            ("GET", "/new-nonce") => self.fresh(Answer::empty(204)),
            ("GET", _) if path.starts_with("/renewal-info/") => self.renewal_info(path),
            ("POST", _) => {
                let answer = self.signed(request).unwrap_or_else(|problem| problem.answer());
                self.fresh(answer)
            }
            _ => Problem::new(405, "malformed", "no such resource, or not by this method").answer(),
        }
    }

    fn fresh(&self, answer: Answer) -> Answer {
        answer.with("Replay-Nonce", &self.state().fresh_nonce())
    }

    fn directory(&self) -> serde_json::Value {
        let origin = self.origin();
        json!({
            "newNonce": format!("{origin}/new-nonce"),
            "newAccount": format!("{origin}/new-account"),
            "newOrder": format!("{origin}/new-order"),
            "renewalInfo": format!("{origin}/renewal-info"),
            "meta": { "termsOfService": format!("{origin}/terms") },
        })
    }

    /// A request under a signature: who signed, whether it may be, then what it asks for.
    fn signed(self: &Arc<Self>, request: &Request) -> Result<Answer, Problem> {
        if request.content_type != "application/jose+json" {
            return Err(Problem::new(415, "malformed", "the content is not application/jose+json"));
        }
        let url = format!("{}{}", self.origin(), request.path);
        let jws = jws::Jws::parse(&request.body)?;
        let key = self.state().key_of(&jws, &self.origin(), request.path == "/new-account")?;
        jws.verify(&key)?;
        self.take_nonce(jws.nonce()?)?;
        if jws.url()? != url {
            return Err(Problem::new(401, "unauthorized", "the signed url is not that of the request"));
        }
        if let Some(refusal) = self.refusal(&request.path) {
            return Err(refusal);
        }
        let resource: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let (origin, account) = (self.origin(), jws.account(&self.origin()));
        match resource.as_slice() {
            ["new-account"] => self.state().new_account(&origin, &key, &jws),
            ["new-order"] => {
                let offered = self.script().offered.clone();
                self.state().new_order(&origin, account?, &jws, &offered)
            }
            ["order", id] => self.state().order(&origin, account?, id, &jws),
            ["authz", id] => self.state().authorization(&origin, account?, id, &jws),
            ["challenge", id] => self.challenge(&origin, account?, id, &jws),
            ["order", id, "finalize"] => {
                let lifetime = self.script().lifetime;
                self.state().finalize(&origin, account?, id, &jws, &self.issuing, lifetime)
            }
            ["certificate", id] => self.state().certificate(account?, id, &jws),
            _ => Err(Problem::new(404, "malformed", "no such resource")),
        }
    }

    fn take_nonce(&self, nonce: &str) -> Result<(), Problem> {
        let bad = Problem::new(400, "badNonce", "this nonce is not ours, or was used before");
        let known = self.state().take_nonce(nonce);
        let mut script = self.script();
        if script.bad_nonces > 0 {
            script.bad_nonces -= 1;
            return Err(bad);
        }
        if known { Ok(()) } else { Err(bad) }
    }

    fn refusal(&self, path: &str) -> Option<Problem> {
        let mut script = self.script();
        let at = script.refusals.iter().position(|(resource, _)| path.trim_start_matches('/') == resource)?;
        script.refusals.remove(at).map(|(_, problem)| problem)
    }

    /// RFC 8555 section 7.5.1: an empty object says that the answer is in place; the look at it follows in the
    /// background.
    fn challenge(
        self: &Arc<Self>,
        origin: &str,
        account: usize,
        id: &str,
        jws: &jws::Jws,
    ) -> Result<Answer, Problem> {
        let (answer, proof) = self.state().challenge(origin, account, id, jws)?;
        if let Some(proof) = proof {
            let (shared, id) = (Arc::clone(self), id.to_owned());
            std::thread::spawn(move || {
                let (at, gone) = {
                    let unknown = |script: &mut Script| script.http_at.is_none();
                    let script = shared.known.wait_timeout_while(shared.script(), PATIENCE, unknown);
                    let (script, _) = script.expect("script of the authority");
                    let at = if proof.kind == "http-01" { script.http_at } else { script.tls_at };
                    (at, script.no_such_names.contains(&proof.name))
                };
                let found = prove::look(&proof, if gone { None } else { at });
                shared.state().looked(&id, found);
            });
        }
        Ok(answer)
    }

    fn renewal_info(&self, path: &str) -> Answer {
        let id = path.trim_start_matches("/renewal-info/");
        let Some((from, to)) = self.state().validity(id) else {
            return Problem::new(404, "malformed", "no such certificate").answer();
        };
        let third = to.duration_since(from).unwrap_or_default() / 3;
        let (start, end) = self.script().window.unwrap_or((to - third, to - third / 2));
        let window = json!({ "start": issue::rfc3339(start), "end": issue::rfc3339(end) });
        Answer::json(200, &json!({ "suggestedWindow": window })).with("Retry-After", "21600")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    use serde_json::Value;

    /// A client that can also break the rules.
    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
        }

        fn jwk(&self) -> Value {
            let point = self.0.public_key().as_ref();
            let (x, y) = (&point[1..33], &point[33..]);
            json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
        }

        fn sign(&self, header: &Value, payload: &str) -> Value {
            let (protected, payload) = (encode(header.to_string()), encode(payload));
            let signed = format!("{protected}.{payload}");
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("sign");
            json!({ "protected": protected, "payload": payload, "signature": encode(signature) })
        }
    }

    fn encode(octets: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(octets)
    }

    fn post(server: &AcmeServer, path: &str, body: &Value) -> (u16, Value) {
        let request = Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            content_type: "application/jose+json".to_owned(),
            body: body.to_string().into_bytes(),
        };
        server.shared.answer(&request).parts()
    }

    fn header(server: &AcmeServer, path: &str, who: (&str, Value)) -> Value {
        let nonce = server.shared.state().fresh_nonce();
        let mut header = json!({ "alg": "ES256", "nonce": nonce });
        header["url"] = json!(format!("{}{path}", server.shared.origin()));
        header[who.0] = who.1;
        header
    }

    const AGREED: &str = r#"{"termsOfServiceAgreed":true}"#;

    /// What happens to an otherwise good request for an account after `change`.
    fn verdict(change: impl Fn(&mut Value), after: impl Fn(&mut Value)) -> (u16, String) {
        let (server, signer) = (AcmeServer::start(), Signer::new());
        let mut header = header(&server, "/new-account", ("jwk", signer.jwk()));
        change(&mut header);
        let mut body = signer.sign(&header, AGREED);
        after(&mut body);
        let (status, answer) = post(&server, "/new-account", &body);
        let kind = answer["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default();
        (status, kind.to_owned())
    }

    #[test]
    fn a_request_is_taken_only_as_it_was_signed() {
        let same = |_: &mut Value| {};
        assert_eq!(verdict(same, same).0, 201);
        let other_payload =
            |body: &mut Value| body["payload"] = json!(encode(r#"{"termsOfServiceAgreed":true }"#));
        assert_eq!(verdict(same, other_payload), (400, "malformed".into()));
        let unsigned = |body: &mut Value| body["signature"] = json!("");
        assert_eq!(verdict(same, unsigned), (400, "malformed".into()));
        let more = |body: &mut Value| body["header"] = json!({});
        assert_eq!(verdict(same, more), (400, "malformed".into()));
        let padded = |body: &mut Value| {
            body["signature"] = json!(format!("{}==", body["signature"].as_str().unwrap()))
        };
        assert_eq!(verdict(same, padded), (400, "malformed".into()));
    }

    #[test]
    fn a_header_says_all_that_the_specification_wants() {
        let same = |_: &mut Value| {};
        for (key, value, status, kind) in [
            ("url", json!("https://127.0.0.1/new-account"), 401, "unauthorized"),
            ("nonce", json!("of-my-own-making"), 400, "badNonce"),
            ("alg", json!("none"), 400, "badSignatureAlgorithm"),
            ("alg", json!("HS256"), 400, "badSignatureAlgorithm"),
            ("kid", json!("x"), 400, "malformed"),
            ("jwk", json!({ "kty": "RSA" }), 400, "badPublicKey"),
        ] {
            let found = verdict(|header| header[key] = value.clone(), same);
            assert_eq!(found, (status, kind.to_owned()), "{key}: {value}");
        }
    }

    #[test]
    fn a_nonce_is_good_once_and_an_account_is_its_key() {
        let (server, signer) = (AcmeServer::start(), Signer::new());
        let once = signer.sign(&header(&server, "/new-account", ("jwk", signer.jwk())), AGREED);
        assert_eq!(post(&server, "/new-account", &once).0, 201);
        let (status, answer) = post(&server, "/new-account", &once);
        assert_eq!((status, answer["type"].as_str().unwrap()), (400, "urn:ietf:params:acme:error:badNonce"));
        let again = signer.sign(&header(&server, "/new-account", ("jwk", signer.jwk())), AGREED);
        assert_eq!((post(&server, "/new-account", &again).0, server.accounts()), (200, 1));

        // Another key cannot speak for the account, and the account's own key cannot go without its name.
        let kid = json!(format!("{}/account/0", server.shared.origin()));
        let order = r#"{"identifiers":[{"type":"dns","value":"shop.example"}]}"#;
        let forged = Signer::new().sign(&header(&server, "/new-order", ("kid", kid.clone())), order);
        assert_eq!(post(&server, "/new-order", &forged).0, 400);
        let nameless = signer.sign(&header(&server, "/new-order", ("jwk", signer.jwk())), order);
        assert_eq!(post(&server, "/new-order", &nameless).0, 400);
        let good = signer.sign(&header(&server, "/new-order", ("kid", kid)), order);
        assert_eq!((post(&server, "/new-order", &good).0, server.orders().len()), (201, 1));
    }

    #[test]
    fn what_is_not_proven_is_not_finalized() {
        let (server, signer) = (AcmeServer::start(), Signer::new());
        let account = signer.sign(&header(&server, "/new-account", ("jwk", signer.jwk())), AGREED);
        post(&server, "/new-account", &account);
        let kid = json!(format!("{}/account/0", server.shared.origin()));
        let ask = |path: &str, payload: &str| {
            post(&server, path, &signer.sign(&header(&server, path, ("kid", kid.clone())), payload))
        };
        ask("/new-order", r#"{"identifiers":[{"type":"dns","value":"shop.example"}]}"#);
        let (status, answer) = ask("/order/0/finalize", r#"{"csr":"AAAA"}"#);
        assert_eq!(
            (status, answer["type"].as_str().unwrap()),
            (403, "urn:ietf:params:acme:error:orderNotReady")
        );
        assert_eq!(ask("/order/0", "{}").0, 400, "an order is read with an empty payload");
        assert_eq!(ask("/order/0", "").1["status"], "pending");
        assert_eq!(ask("/order/7", "").0, 404);
        for name in ["nas.internal", "Shop.example", "localhost"] {
            let order = json!({ "identifiers": [{ "type": "dns", "value": name }] }).to_string();
            let (status, answer) = ask("/new-order", &order);
            assert_eq!(status, 400, "{answer}");
        }
    }
}
