//! One order, from the account to the certificate (RFC 8555 section 7.4).
//!
//! ```text
//! account -> order -> each authorization: answer in place, "ready" -> poll: ready -> request -> poll: valid -> chain
//!                                                                         invalid -> the challenge says why
//! ```
//! Answers to challenges are taken away when the order ends, however it ends. Not here: when to order, where what is
//! issued goes (`keeper`).

use super::chain::Chain;
use super::error::CertError;
use super::name::CertName;
use super::problem::{self, Context};
use super::settings::{Authority, CertSettings, ChallengeKind};
use super::storage::{self, Storage};
use super::transport::Transport;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType,
    Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use shoalway_net::acme_challenges::AcmeChallenges;
use std::sync::Arc;
use std::time::SystemTime;

/// Who orders, and where.
pub(super) struct Ordering<'a> {
    pub(super) settings: &'a CertSettings,
    pub(super) authority: &'a Authority,
    pub(super) storage: &'a Storage,
    pub(super) transport: Transport,
    pub(super) challenges: &'a Arc<AcmeChallenges>,
    /// URL of the directory: the real one, or the rehearsal's.
    pub(super) directory: &'a str,
}

/// An answer that is in place until this is dropped.
struct Placed {
    challenges: Arc<AcmeChallenges>,
    place: Place,
}

enum Place {
    Token(String),
    Certificate(String),
}

impl Drop for Placed {
    fn drop(&mut self) {
        match &self.place {
            Place::Token(token) => self.challenges.remove_token(token),
            Place::Certificate(name) => self.challenges.remove_certificate(name),
        }
    }
}

impl Ordering<'_> {
    /// Orders a certificate for `name`: key, certificate and issuers in PEM. `kind` is how it is to be proven, `replaces`
    /// the certificate before (RFC 9773 section 5).
    ///
    /// # Errors
    /// [`CertError`]; nothing is left behind but the account.
    pub(super) async fn order(
        &self,
        name: &CertName,
        kind: ChallengeKind,
        replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<String, CertError> {
        let patience = self.settings.patience;
        let all = Box::pin(self.unhurried(name, kind, replaces));
        match tokio::time::timeout(patience, all).await {
            Ok(done) => done,
            Err(_elapsed) => Err(CertError::TooSlow { after: patience }),
        }
    }

    async fn unhurried(
        &self,
        name: &CertName,
        kind: ChallengeKind,
        replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<String, CertError> {
        let (account, mut order) = self.open(name, replaces).await?;
        let placed = self.prove(&mut order, name, kind).await?;
        let polling = RetryPolicy::new().initial_delay(self.settings.poll).timeout(self.settings.patience);
        let proving = self.context(name.as_str(), Some(kind));
        let polled = order.poll_ready(&polling).await;
        match polled {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => return Err(self.why_invalid(&mut order, &proving, None).await),
            Err(error) => return Err(self.why_invalid(&mut order, &proving, Some(error)).await),
        }
        drop(placed);

        let plain = self.context(name.as_str(), None);
        let fail = |error| problem::of(error, &plain, &self.transport);
        let unfit = |error: rcgen::Error| CertError::Unfit { name: name.to_string(), why: error.to_string() };
        let key = KeyPair::generate().map_err(unfit)?;
        let mut params = CertificateParams::new(vec![name.to_string()]).map_err(unfit)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(unfit)?;
        order.finalize_csr(request.der()).await.map_err(fail)?;
        let chain = order.poll_certificate(&polling).await.map_err(fail)?;
        drop(account);
        let pem = format!("{}{chain}", key.serialize_pem());
        self.check(name, &pem)?;
        Ok(pem)
    }

    /// What was issued must be for the name, under our key, and valid now.
    fn check(&self, name: &CertName, pem: &str) -> Result<(), CertError> {
        let unfit = |why: &str| CertError::Unfit { name: name.to_string(), why: why.to_owned() };
        let chain = Chain::from_pem(pem.as_bytes()).map_err(|why| unfit(&why))?;
        if !chain.is_for(name) {
            return Err(unfit("it is for another name"));
        }
        if !chain.is_valid(SystemTime::now()) {
            return Err(unfit("it is not valid at the time that this machine's clock shows"));
        }
        Ok(())
    }

    /// An account and a new order. An account that the authority has forgotten is made anew, once.
    async fn open(
        &self,
        name: &CertName,
        mut replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<(Account, Order), CertError> {
        let context = self.context(name.as_str(), None);
        let identifiers = [Identifier::Dns(name.to_string())];
        let mut account = self.account().await?;
        let mut fresh = false;
        loop {
            let new = NewOrder::new(&identifiers);
            let new = match replaces.clone() {
                Some(id) => new.replaces(id),
                None => new,
            };
            match account.new_order(&new).await {
                Ok(order) => return Ok((account, order)),
                Err(error) if problem::account_is_gone(&error) && !fresh => {
                    tracing::warn!("the authority does not know the account any more: another is made");
                    storage::put_aside(&self.account_file())?;
                    account = self.account().await?;
                    fresh = true;
                    // It belongs to the account that is gone.
                    replaces = None;
                }
                Err(error) if replaces.is_some() && problem::may_be_about_replacing(&error) => {
                    replaces = None
                }
                Err(error) => return Err(problem::of(error, &context, &self.transport)),
            }
        }
    }

    /// The account of the directory, made and stored when there is none.
    pub(super) async fn account(&self) -> Result<Account, CertError> {
        let context = self.context("", None);
        let fail = |error| problem::of(error, &context, &self.transport);
        let builder = || Account::builder_with_http(Box::new(self.transport.clone()));
        let path = self.account_file();
        if let Some(text) = storage::read(&path)? {
            match serde_json::from_slice::<AccountCredentials>(&text) {
                Ok(credentials) => match builder().from_credentials(credentials).await {
                    Err(Error::KeyRejected | Error::Crypto) => {}
                    done => return done.map_err(fail),
                },
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "the account is damaged: put aside")
                }
            }
            storage::put_aside(&path)?;
        }
        let contact = self.authority.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = builder().create(&new, self.directory.to_owned(), None).await;
        let (account, credentials) = made.map_err(fail)?;
        let text = serde_json::to_vec(&credentials)
            .map_err(|error| CertError::io("write", &path, &std::io::Error::other(error)))?;
        storage::write(&path, &text)?;
        Ok(account)
    }

    fn account_file(&self) -> std::path::PathBuf {
        self.storage.path(&Storage::folder(self.directory), "account.json")
    }

    /// Puts an answer in place for everything that is not proven yet, and says so.
    async fn prove(
        &self,
        order: &mut Order,
        name: &CertName,
        kind: ChallengeKind,
    ) -> Result<Vec<Placed>, CertError> {
        let context = self.context(name.as_str(), Some(kind));
        let fail = |error| problem::of(error, &context, &self.transport);
        let mut placed = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next.map_err(fail)?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let wanted = match kind {
                ChallengeKind::Http01 => ChallengeType::Http01,
                ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let Some(mut challenge) = authorization.challenge(wanted) else {
                let why = format!("the authority does not offer {}", kind.word());
                return Err(CertError::NoChallenge { name: name.to_string(), why });
            };
            placed.push(self.place(&challenge, name, kind)?);
            challenge.set_ready().await.map_err(fail)?;
        }
        Ok(placed)
    }

    fn place(
        &self,
        challenge: &ChallengeHandle<'_>,
        name: &CertName,
        kind: ChallengeKind,
    ) -> Result<Placed, CertError> {
        let answer = challenge.key_authorization();
        let place = match kind {
            ChallengeKind::Http01 => {
                self.challenges.put_token(&challenge.token, answer.as_str());
                Place::Token(challenge.token.clone())
            }
            ChallengeKind::TlsAlpn01 => {
                self.show(name, answer.digest().as_ref())
                    .map_err(|why| CertError::Unfit { name: name.to_string(), why })?;
                Place::Certificate(name.to_string())
            }
        };
        Ok(Placed { challenges: Arc::clone(self.challenges), place })
    }

    /// RFC 8737 section 3: self-signed, the name alone, the digest in a critical extension.
    fn show(&self, name: &CertName, digest: &[u8]) -> Result<(), String> {
        let fail = |error: rcgen::Error| error.to_string();
        let mut params = CertificateParams::new(vec![name.to_string()]).map_err(fail)?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.self_signed(&key).map_err(fail)?.pem();
        let key = key.serialize_pem();
        self.challenges
            .put_certificate(name.as_str(), certificate.as_bytes(), key.as_bytes())
            .map_err(|error| error.to_string())
    }

    /// The challenge that failed knows more than the order (RFC 8555 section 7.1.6).
    async fn why_invalid(&self, order: &mut Order, context: &Context<'_>, error: Option<Error>) -> CertError {
        if let Some(Error::Timeout(_)) = error {
            return CertError::TooSlow { after: self.settings.patience };
        }
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { break };
            if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
                return problem::of_problem(problem, context, &self.transport);
            }
        }
        match error {
            Some(error) => problem::of(error, context, &self.transport),
            None => CertError::Server { why: "the order was refused without a reason".to_owned() },
        }
    }

    const fn context<'a>(&'a self, name: &'a str, kind: Option<ChallengeKind>) -> Context<'a> {
        Context { directory: self.directory, name, kind, patience: self.settings.patience }
    }
}
