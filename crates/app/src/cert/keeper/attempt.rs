//! One attempt to have a certificate for a name, and what is remembered of it.

use super::{CertKeeper, Held};
use crate::cert::chain::Chain;
use crate::cert::error::CertError;
use crate::cert::local::LocalAuthority;
use crate::cert::name::{CertName, Issuer};
use crate::cert::record::Record;
use crate::cert::settings::{Authority, ChallengeKind};
use crate::cert::{renewal, seconds, storage, words};
use instant_acme::CertificateIdentifier;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime};

/// How long to wait for another process that orders.
const OTHER_PROCESS: Duration = Duration::from_secs(30);

/// Why there is an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is time.
    Due,
    /// Somebody asked, so that what another process has just done is not enough.
    Asked,
}

impl CertKeeper {
    /// Tries to have a new certificate, remembers what came of it, and hands it out; until when it is valid.
    pub(super) async fn attempt(
        &self,
        name: &CertName,
        now: SystemTime,
        why: Why,
    ) -> Result<SystemTime, CertError> {
        let _turn = self.turn.lock().await;
        let held = self.of(name).ok_or_else(|| super::unknown(name))?;
        let folder = held.folder(name);
        match Box::pin(self.obtain(name, &held, now, why)).await {
            Ok(chain) => {
                let until = chain.validity.until;
                tracing::info!(%name, until = %words(until), "a certificate is in use");
                // Another authority may have been chosen meanwhile.
                if let Some(held) = self.held().get_mut(name).filter(|held| held.folder(name) == folder) {
                    held.chain = Some(chain);
                }
                self.publish();
                Ok(until)
            }
            Err(error) => {
                self.failed(name, &folder, &error, now);
                Err(error)
            }
        }
    }

    fn failed(&self, name: &CertName, folder: &str, error: &CertError, now: SystemTime) {
        if matches!(error, CertError::Locked { .. }) {
            // The record on the disk is the other one's now.
            if let Some(held) = self.held().get_mut(name) {
                held.record.not_before = Some(seconds(now + OTHER_PROCESS));
            }
            tracing::debug!(%name, "{error}");
            return;
        }
        self.note(name, folder, |record| {
            record.failures = record.failures.saturating_add(1);
            let wait = now + renewal::wait(record.failures, error.is_lasting(), seed(name));
            let again = error.not_before().map_or(wait, |allowed| allowed.max(wait));
            record.not_before = Some(seconds(again));
            // What passed a rehearsal and fails now is rehearsed again before it costs more.
            record.rehearsed &= !is_about_proving(error);
            record.complain(error, now);
            let (code, hint, again) = (error.code(), error.hint(), words(again));
            tracing::warn!(code, %name, hint, again, "no new certificate: {error}");
        });
    }

    async fn obtain(
        &self,
        name: &CertName,
        held: &Held,
        now: SystemTime,
        why: Why,
    ) -> Result<Chain, CertError> {
        let _lock = self.storage.lock()?;
        let folder = held.folder(name);
        let path = self.storage.pem(&folder, name);
        if let Some(chain) = self.found_fresh(name, held, now).filter(|_| why == Why::Due) {
            return Ok(chain);
        }
        let pem = match name.issuer() {
            Issuer::Local => self.sign_locally(name, now)?,
            Issuer::Acme => Box::pin(self.order(name, held, now)).await?,
        };
        storage::write(&path, pem.as_bytes())?;
        self.note(name, &folder, |record| *record = Record { rehearsed: true, ..Record::default() });
        Chain::of_file(&path, pem.as_bytes(), name)
    }

    /// What another process has ordered since we looked.
    fn found_fresh(&self, name: &CertName, held: &Held, now: SystemTime) -> Option<Chain> {
        let known = held.chain.as_ref().map(|chain| chain.seed);
        let folder = held.folder(name);
        let pem = storage::read(&self.storage.pem(&folder, name)).ok()??;
        let chain = Chain::of_file(&self.storage.pem(&folder, name), &pem, name).ok()?;
        let record = Record::read(&self.storage.json(&folder, name)).ok()?;
        let found = Held { chain: Some(chain.clone()), record: record.clone(), ..held.clone() };
        let is_news = Some(chain.seed) != known && found.due(now) > now;
        is_news.then(|| {
            if let Some(held) = self.held().get_mut(name) {
                held.record = record;
            }
            chain
        })
    }

    /// The real order, after a rehearsal when the name never had a certificate.
    async fn order(&self, name: &CertName, held: &Held, now: SystemTime) -> Result<String, CertError> {
        let (authority, folder) = (&held.authority, held.folder(name));
        let kind = kind(name, authority, held.record.failures)?;
        // What cannot be stored should not be ordered: authorities count.
        held.record.write(&self.storage.json(&folder, name))?;
        let has = held.chain.as_ref().filter(|chain| chain.is_valid(now));
        if let Some(staging) = authority.staging.as_ref().filter(|_| authority.rehearse)
            && has.is_none()
            && !held.record.rehearsed
        {
            Box::pin(self.ordering(authority, staging)?.order(name, kind, None)).await?;
            self.note(name, &folder, |record| record.rehearsed = true);
        }
        // Whether the authority knows about renewal has been seen when it told a window.
        let replaces: Option<CertificateIdentifier<'static>> =
            held.record.window.and_then(|_| held.chain.as_ref()?.id.clone());
        Box::pin(self.ordering(authority, &authority.directory)?.order(name, kind, replaces)).await
    }

    pub(super) fn sign_locally(&self, name: &CertName, now: SystemTime) -> Result<String, CertError> {
        LocalAuthority::open(&self.storage, now)?.issue(name, now)
    }
}

/// How the name is proven this time: what failed is followed by the next way.
pub(super) fn kind(
    name: &CertName,
    authority: &Authority,
    failures: u32,
) -> Result<ChallengeKind, CertError> {
    let no = |why: &str| CertError::NoChallenge { name: name.to_string(), why: why.to_owned() };
    if name.is_wildcard() {
        return Err(no("a wildcard is proven by DNS alone (dns-01)"));
    }
    let ways = &authority.challenges;
    let turn = usize::try_from(failures).unwrap_or(0).checked_rem(ways.len());
    turn.and_then(|turn| ways.get(turn).copied())
        .ok_or_else(|| no("there is no listener that the authority could look at"))
}

/// Whether the set-up may have changed since it was rehearsed.
const fn is_about_proving(error: &CertError) -> bool {
    matches!(error, CertError::Dns { .. } | CertError::Connection { .. } | CertError::Unauthorized { .. })
}

/// Parts the waits of different names.
fn seed(name: &CertName) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
