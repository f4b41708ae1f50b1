//! What the authority knows: nonces, accounts, orders, authorizations, certificates, and how they change (RFC 8555
//! section 7.1.6).

use super::AcmeOrder;
use super::http::Answer;
use super::issue::{Issued, Issuing};
use super::jws::{Jws, Key, decode, malformed};
use super::prove::Proof;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, SystemTime};

/// An error document (RFC 8555 section 6.7).
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: u16,
    kind: String,
    detail: String,
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: u16, kind: &str, detail: &str) -> Self {
        Self { status, kind: kind.to_owned(), detail: detail.to_owned(), retry_after: None }
    }

    pub(super) const fn after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    fn json(&self) -> Value {
        let kind = format!("urn:ietf:params:acme:error:{}", self.kind);
        json!({ "type": kind, "detail": self.detail, "status": self.status })
    }

    pub(super) fn answer(&self) -> Answer {
        let answer = Answer::text(self.status, "application/problem+json", self.json().to_string());
        match self.retry_after {
            Some(seconds) => answer.with("Retry-After", &seconds.to_string()),
            None => answer,
        }
    }
}

/// Everything; ids are places in these lists.
#[derive(Default)]
pub(super) struct State {
    nonces: HashSet<String>,
    nonces_refused: usize,
    accounts: Vec<Key>,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
    challenges: Vec<Challenge>,
    certificates: Vec<(usize, Issued)>,
}

struct Order {
    account: usize,
    names: Vec<String>,
    authorizations: Vec<usize>,
    replaces: Option<String>,
    finalized: Option<usize>,
    /// Whether the certificate may be had; until somebody has looked, the order is `processing`.
    delivered: bool,
}

struct Authorization {
    account: usize,
    name: String,
    challenges: Vec<usize>,
}

struct Challenge {
    authorization: usize,
    kind: &'static str,
    token: String,
    status: &'static str,
    error: Option<Problem>,
}

impl State {
    pub(super) fn fresh_nonce(&mut self) -> String {
        let nonce = random();
        self.nonces.insert(nonce.clone());
        nonce
    }

    /// Whether it is one of ours; it is used up by this.
    pub(super) fn take_nonce(&mut self, nonce: &str) -> bool {
        let known = self.nonces.remove(nonce);
        self.nonces_refused += usize::from(!known);
        known
    }

    pub(super) const fn nonces_refused(&self) -> usize {
        self.nonces_refused
    }

    pub(super) const fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn orders(&self) -> Vec<AcmeOrder> {
        let seen = |order: &Order| AcmeOrder {
            names: order.names.clone(),
            replaces: order.replaces.clone(),
            status: self.order_status(order),
        };
        self.orders.iter().map(seen).collect()
    }

    /// RFC 8555 section 6.2: a new account brings its key, everything else names the account.
    pub(super) fn key_of(&self, jws: &Jws, origin: &str, new_account: bool) -> Result<Key, Problem> {
        match (jws.jwk()?, new_account) {
            (Some(key), true) => Ok(key),
            (None, false) => {
                let known = self.accounts.get(jws.account(origin)?).cloned();
                known.ok_or_else(|| Problem::new(400, "accountDoesNotExist", "no such account"))
            }
            (Some(_), false) => Err(malformed("kid is needed here, not jwk")),
            (None, true) => Err(malformed("jwk is needed here, not kid")),
        }
    }

    pub(super) fn new_account(&mut self, origin: &str, key: &Key, jws: &Jws) -> Result<Answer, Problem> {
        let asked = jws.json()?;
        let known = self.accounts.iter().position(|known| known == key);
        let status = if known.is_some() { 200 } else { 201 };
        let number = match known {
            Some(number) => number,
            None if asked["onlyReturnExisting"] == true => {
                return Err(Problem::new(400, "accountDoesNotExist", "no account of this key"));
            }
            None if asked["termsOfServiceAgreed"] != true => {
                return Err(Problem::new(
                    403,
                    "userActionRequired",
                    "the terms of service were not agreed to",
                ));
            }
            None => {
                self.accounts.push(key.clone());
                self.accounts.len() - 1
            }
        };
        let contact = asked.get("contact").cloned().unwrap_or_else(|| json!([]));
        let answer = json!({ "status": "valid", "contact": contact });
        Ok(Answer::json(status, &answer).with("Location", &format!("{origin}/account/{number}")))
    }

    pub(super) fn new_order(
        &mut self,
        origin: &str,
        account: usize,
        jws: &Jws,
        offered: &[&'static str],
    ) -> Result<Answer, Problem> {
        let asked = jws.json()?;
        let names = names(&asked)?;
        let replaces = asked.get("replaces").and_then(Value::as_str).map(str::to_owned);
        if let Some(id) = &replaces {
            self.may_replace(account, id, &names)?;
        }
        let first = self.authorizations.len();
        for name in &names {
            let wildcard = name.starts_with("*.");
            let offered = offered.iter().filter(|kind| !wildcard || **kind == "dns-01");
            let challenges = offered.map(|kind| self.new_challenge(kind)).collect();
            let name = name.trim_start_matches("*.").to_owned();
            self.authorizations.push(Authorization { account, name, challenges });
        }
        let authorizations = (first..self.authorizations.len()).collect();
        self.orders.push(Order {
            account,
            names,
            authorizations,
            replaces,
            finalized: None,
            delivered: false,
        });
        let number = self.orders.len() - 1;
        let answer = Answer::json(201, &self.order_json(origin, number));
        Ok(answer.with("Location", &format!("{origin}/order/{number}")))
    }

    /// RFC 9773 section 5: a certificate of the same account, with a name in common, that nothing replaces yet.
    fn may_replace(&self, account: usize, id: &str, names: &[String]) -> Result<(), Problem> {
        let found = self.certificates.iter().find(|(_, issued)| issued.id == id);
        let Some((order, _)) = found else {
            return Err(Problem::new(404, "malformed", "no such certificate to replace"));
        };
        let order = &self.orders[*order];
        if order.account != account || !names.iter().any(|name| order.names.contains(name)) {
            return Err(malformed("that certificate is not replaced by this order"));
        }
        let replaced =
            |other: &Order| other.replaces.as_deref() == Some(id) && self.order_status(other) != "invalid";
        if self.orders.iter().any(replaced) {
            return Err(Problem::new(409, "alreadyReplaced", "that certificate was replaced before"));
        }
        Ok(())
    }

    /// The place of a new challenge of the authorization that is about to be made.
    fn new_challenge(&mut self, kind: &'static str) -> usize {
        let (authorization, token) = (self.authorizations.len(), random());
        self.challenges.push(Challenge { authorization, kind, token, status: "pending", error: None });
        self.challenges.len() - 1
    }

    pub(super) fn order(
        &mut self,
        origin: &str,
        account: usize,
        id: &str,
        jws: &Jws,
    ) -> Result<Answer, Problem> {
        only_asks(jws)?;
        let number = place(id, &self.orders, |order| order.account == account)?;
        let answer = Answer::json(200, &self.order_json(origin, number));
        let order = &mut self.orders[number];
        order.delivered = order.finalized.is_some();
        Ok(answer)
    }

    fn order_json(&self, origin: &str, number: usize) -> Value {
        let order = &self.orders[number];
        let identifiers: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let authorizations: Vec<String> =
            order.authorizations.iter().map(|id| format!("{origin}/authz/{id}")).collect();
        let mut value = json!({
            "status": self.order_status(order),
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": format!("{origin}/order/{number}/finalize"),
        });
        if let Some(id) = &order.replaces {
            value["replaces"] = json!(id);
        }
        if let (Some(certificate), true) = (order.finalized, order.delivered) {
            value["certificate"] = json!(format!("{origin}/certificate/{certificate}"));
        }
        value
    }

    fn order_status(&self, order: &Order) -> &'static str {
        let status = |id: &usize| self.authorization_status(&self.authorizations[*id]);
        match order.finalized {
            Some(_) if order.delivered => "valid",
            Some(_) => "processing",
            None if order.authorizations.iter().any(|id| status(id) == "invalid") => "invalid",
            None if order.authorizations.iter().all(|id| status(id) == "valid") => "ready",
            None => "pending",
        }
    }

    pub(super) fn authorization(
        &self,
        origin: &str,
        account: usize,
        id: &str,
        jws: &Jws,
    ) -> Result<Answer, Problem> {
        only_asks(jws)?;
        let number = place(id, &self.authorizations, |found| found.account == account)?;
        let found = &self.authorizations[number];
        let challenges: Vec<Value> =
            found.challenges.iter().map(|id| self.challenge_json(origin, *id)).collect();
        let value = json!({
            "status": self.authorization_status(found),
            "identifier": { "type": "dns", "value": found.name },
            "challenges": challenges,
        });
        Ok(Answer::json(200, &value))
    }

    fn authorization_status(&self, authorization: &Authorization) -> &'static str {
        let has = |status| authorization.challenges.iter().any(|id| self.challenges[*id].status == status);
        match () {
            () if has("valid") => "valid",
            () if has("invalid") => "invalid",
            () => "pending",
        }
    }

    fn challenge_json(&self, origin: &str, number: usize) -> Value {
        let Challenge { kind, token, status, error, .. } = &self.challenges[number];
        let url = format!("{origin}/challenge/{number}");
        let mut value = json!({ "type": kind, "url": url, "token": token, "status": status });
        if let Some(error) = error {
            value["error"] = error.json();
        }
        value
    }

    /// The challenge, and what to look at when this is the moment to begin.
    pub(super) fn challenge(
        &mut self,
        origin: &str,
        account: usize,
        id: &str,
        jws: &Jws,
    ) -> Result<(Answer, Option<Proof>), Problem> {
        let authorizations = &self.authorizations;
        let ours = |challenge: &Challenge| authorizations[challenge.authorization].account == account;
        let number = place(id, &self.challenges, ours)?;
        let begins = !jws.only_asks();
        if begins && jws.json()? != json!({}) {
            return Err(malformed("a challenge is answered with an empty object"));
        }
        let thumbprint = self.accounts[account].thumbprint();
        let challenge = &mut self.challenges[number];
        let name = self.authorizations[challenge.authorization].name.clone();
        let proof = (begins && challenge.status == "pending").then(|| {
            challenge.status = "processing";
            let key_authorization = format!("{}.{thumbprint}", challenge.token);
            Proof { kind: challenge.kind, name, token: challenge.token.clone(), key_authorization }
        });
        Ok((Answer::json(200, &self.challenge_json(origin, number)), proof))
    }

    /// What was found when a challenge was looked at.
    pub(super) fn looked(&mut self, id: &str, found: Result<(), Problem>) {
        let challenge = &mut self.challenges[id.parse::<usize>().expect("own id")];
        challenge.status = if found.is_ok() { "valid" } else { "invalid" };
        challenge.error = found.err();
    }

    pub(super) fn finalize(
        &mut self,
        origin: &str,
        account: usize,
        id: &str,
        jws: &Jws,
        issuing: &Issuing,
        lifetime: Duration,
    ) -> Result<Answer, Problem> {
        let number = place(id, &self.orders, |order| order.account == account)?;
        let asked = jws.json()?;
        let csr = decode(asked["csr"].as_str().ok_or_else(|| malformed("no csr"))?)?;
        let order = &self.orders[number];
        if self.order_status(order) != "ready" {
            return Err(Problem::new(
                403,
                "orderNotReady",
                "not everything is proven, or it is done already",
            ));
        }
        let serial = self.certificates.len() as u64 + 1;
        let issued = issuing.issue(csr, &order.names, &self.accounts[account], serial, lifetime)?;
        self.certificates.push((number, issued));
        self.orders[number].finalized = Some(self.certificates.len() - 1);
        let answer = Answer::json(200, &self.order_json(origin, number));
        Ok(answer.with("Location", &format!("{origin}/order/{number}")))
    }

    pub(super) fn certificate(&self, account: usize, id: &str, jws: &Jws) -> Result<Answer, Problem> {
        only_asks(jws)?;
        let ours = |(order, _): &(usize, Issued)| self.orders[*order].account == account;
        let number = place(id, &self.certificates, ours)?;
        let chain = self.certificates[number].1.chain.clone();
        Ok(Answer::text(200, "application/pem-certificate-chain", chain))
    }

    pub(super) fn validity(&self, id: &str) -> Option<(SystemTime, SystemTime)> {
        let mut all = self.certificates.iter().map(|(_, issued)| issued);
        all.find(|issued| issued.id == id).map(|issued| issued.validity)
    }
}

fn only_asks(jws: &Jws) -> Result<(), Problem> {
    if jws.only_asks() { Ok(()) } else { Err(malformed("this is read with an empty payload")) }
}

/// The place of something that is there and belongs to who asks.
fn place<T>(id: &str, all: &[T], ours: impl Fn(&T) -> bool) -> Result<usize, Problem> {
    let number = id.parse::<usize>().ok().filter(|number| *number < all.len());
    let number = number.ok_or_else(|| Problem::new(404, "malformed", "no such resource"))?;
    if !ours(&all[number]) {
        return Err(Problem::new(403, "unauthorized", "this belongs to another account"));
    }
    Ok(number)
}

/// RFC 8555 section 7.1.4: names in lower case, each once.
fn names(asked: &Value) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for identifier in asked["identifiers"].as_array().ok_or_else(|| malformed("no identifiers"))? {
        let name = identifier["value"].as_str().unwrap_or_default();
        let refused = |why: &str| Problem::new(400, "rejectedIdentifier", why);
        if identifier["type"] != "dns" {
            return Err(Problem::new(400, "unsupportedIdentifier", "DNS names alone"));
        }
        if !name.contains('.') || name != name.to_ascii_lowercase() {
            return Err(refused("Domain name needs at least one dot, and is in lower case"));
        }
        if [".internal", ".localhost", ".local"].iter().any(|end| name.ends_with(end)) {
            return Err(refused("Domain name does not end with a valid public suffix (TLD)"));
        }
        if names.iter().any(|known| known == name) {
            return Err(malformed("a name stands twice"));
        }
        names.push(name.to_owned());
    }
    if names.is_empty() { Err(malformed("no identifiers")) } else { Ok(names) }
}

/// Text that cannot be guessed from the texts before it: the standard library's keys are random.
fn random() -> String {
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}
