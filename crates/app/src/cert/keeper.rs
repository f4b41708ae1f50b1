//! Keeps certificates: knows what is stored, orders what is missing or due, hands it to the listeners.
//!
//! ```text
//! tend: for each name: ask the authority about renewal, when it is time -> due? -> attempt -> record
//!       -> when to look again
//! ```
//! Time comes in as an argument, so that a test can have any; [`CertKeeper::run`] gives it the real one. A name that
//! fails waits longer each time and bothers no other. What is in use stays until something better is there. Not here:
//! one order (`order`), times (`renewal`), files (`storage`).

mod attempt;
mod feeds;

use super::chain::Chain;
use super::error::CertError;
use super::list::Listed;
use super::name::{CertName, Issuer};
use super::order::Ordering;
use super::record::Record;
use super::renewal::{self, Window};
use super::settings::{Authority, CertSettings};
use super::storage::{self, Storage};
use super::transport::Transport;
use super::{moment, seconds, words};
use feeds::Feeds;
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::certificates::Certificate;
use shoalway_net::resolver::Resolver;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// Longest sleep: a clock that is set, or a file that another process writes, is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);
/// Shortest sleep between two rounds.
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);
/// How long an authority that gave no answer about renewal is left alone; also what RFC 9773 section 4.3.3 proposes.
const ASK_LATER: Duration = Duration::from_hours(6);

/// Keeps the certificates of a set of names. Shared by the control loop and who asks it.
pub struct CertKeeper {
    settings: CertSettings,
    storage: Storage,
    resolver: Resolver,
    challenges: Arc<AcmeChallenges>,
    held: Mutex<BTreeMap<CertName, Held>>,
    feeds: Feeds,
    /// One attempt at a time in this process; the lock file is for others.
    turn: tokio::sync::Mutex<()>,
    wake: Notify,
}

/// What there is of a name.
#[derive(Clone)]
struct Held {
    authority: Arc<Authority>,
    chain: Option<Chain>,
    record: Record,
}

impl Held {
    /// Folder of the authority that certifies `name`.
    fn folder(&self, name: &CertName) -> String {
        folder(name, &self.authority)
    }

    /// The same as it is had from now on. What has changed may have been the mistake: it is tried at once, unless the
    /// authority itself has said when.
    fn under(self, authority: &Arc<Authority>) -> Self {
        let mut held = self;
        let told = held.record.error.as_ref().is_some_and(|error| error.code == CertError::RATE_LIMITED);
        if *held.authority != **authority && !told {
            held.record.not_before = None;
        }
        held.authority = Arc::clone(authority);
        held
    }

    /// Says what is still wrong from an earlier time: the next attempt may be hours away.
    fn tell(&self, name: &CertName, now: SystemTime) {
        let valid = self.chain.as_ref().is_some_and(|chain| chain.is_valid(now));
        let due = self.due(now);
        if let Some(error) = self.record.error.as_ref().filter(|_| !valid && due > now) {
            let (code, again) = (&error.code, words(due));
            tracing::warn!(%code, %name, again, "no certificate: {} (`shoalway cert renew {name}` tries now)", error.text);
        }
    }

    /// When the next attempt is due.
    fn due(&self, now: SystemTime) -> SystemTime {
        let wanted = match &self.chain {
            Some(chain) if chain.is_valid(now) => {
                renewal::when(chain.validity, self.record.window, chain.seed)
            }
            Some(_) | None => SystemTime::UNIX_EPOCH,
        };
        wanted.max(moment(self.record.not_before.unwrap_or(0)))
    }
}

impl CertKeeper {
    /// Opens the storage and reads what there is for `names`; nothing is ordered yet. `challenges` are those that the
    /// listeners answer from: one value for the life of the process, whatever keeper there is.
    ///
    /// # Errors
    /// [`CertError::Storage`]. Files of single names that are damaged are put aside and reported, no more.
    pub fn open(
        settings: CertSettings,
        resolver: Resolver,
        challenges: Arc<AcmeChallenges>,
        names: &[(CertName, Arc<Authority>)],
    ) -> Result<Arc<Self>, CertError> {
        let keeper = Self {
            storage: Storage::open(&settings.storage)?,
            settings,
            resolver,
            challenges,
            held: Mutex::default(),
            feeds: Feeds::default(),
            turn: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        };
        keeper.set_names(names);
        Ok(Arc::new(keeper))
    }

    /// The answers to challenges, for the listeners.
    #[must_use]
    pub const fn challenges(&self) -> &Arc<AcmeChallenges> {
        &self.challenges
    }

    /// Keeps these names from now on, each by its authority, and no others; what is stored stays. What is being ordered is
    /// ordered to its end.
    pub fn set_names(&self, names: &[(CertName, Arc<Authority>)]) {
        let now = SystemTime::now();
        let mut held = std::mem::take(&mut *self.held());
        let kept = names.iter().map(|(name, authority)| {
            let known = held.remove(name).filter(|held| held.folder(name) == folder(name, authority));
            let known = known.map(|held| held.under(authority));
            (name.clone(), known.unwrap_or_else(|| self.load(name, authority, now)))
        });
        let kept = kept.collect();
        *self.held() = kept;
        self.publish();
        self.wake.notify_one();
    }

    /// Where its files are.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.storage.root()
    }

    /// What there is for `names`, now: fewer than names while some are missing.
    #[must_use]
    pub fn certificates(&self, names: &[CertName]) -> Vec<Certificate> {
        let held = self.held();
        let chain = |name: &CertName| {
            let chain = held.get(name)?.chain.as_ref()?;
            Some(chain.certificate.clone().of_site(name.as_str()))
        };
        names.iter().filter_map(chain).collect()
    }

    /// Each name with its state and last error, for `cert list`.
    #[must_use]
    pub fn status(&self, now: SystemTime) -> Vec<Listed> {
        let held = self.held();
        let listed = |(name, held): (&CertName, &Held)| {
            Listed::new(name, &held.folder(name), held.chain.as_ref(), &held.record, now)
        };
        held.iter().map(listed).collect()
    }

    /// Tends for ever. To be spawned on the control runtime by an owner that aborts it at the end, or when another
    /// keeper takes over; whatever is under way is then given up cleanly.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = Box::pin(self.tend(SystemTime::now())).await;
            let wait = next.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Does all that is due at `now`, one thing after another, and says when to look again. Errors are in the records.
    pub async fn tend(&self, now: SystemTime) -> SystemTime {
        let names: Vec<CertName> = self.held().keys().cloned().collect();
        for name in &names {
            if self.is_to_be_asked(name, now) {
                Box::pin(self.ask_about_renewal(name, now)).await;
            }
            if self.of(name).is_some_and(|held| held.due(now) <= now) {
                // What came of it is in the record and has been told.
                drop(Box::pin(self.attempt(name, now, attempt::Why::Due)).await);
            }
        }
        let held = self.held();
        let next = held.iter().map(|(name, held)| match (name.issuer(), &held.chain) {
            (Issuer::Acme, Some(_)) => held.due(now).min(moment(held.record.ask_again.unwrap_or(0))),
            (Issuer::Acme, None) | (Issuer::Local, _) => held.due(now),
        });
        next.min().unwrap_or(now + LONGEST_SLEEP).max(now)
    }

    /// Orders a new certificate for `name` now, whatever the one before is like; until when the new one is valid.
    ///
    /// # Errors
    /// [`CertError`]; the one before stays in use.
    pub async fn renew(&self, name: &CertName) -> Result<SystemTime, CertError> {
        self.of(name).ok_or_else(|| unknown(name))?;
        Box::pin(self.attempt(name, SystemTime::now(), attempt::Why::Asked)).await
    }

    /// Goes through the whole order at the staging directory and keeps nothing of it; which directory that was.
    ///
    /// # Errors
    /// [`CertError`], what a real order would meet too.
    pub async fn dry_run(&self, name: &CertName) -> Result<String, CertError> {
        let held = self.of(name).ok_or_else(|| unknown(name))?;
        if name.issuer() == Issuer::Local {
            self.sign_locally(name, SystemTime::now())?;
            return Ok(storage::LOCAL.to_owned());
        }
        let _turn = self.turn.lock().await;
        let authority = &held.authority;
        let staging = authority.staging.as_ref().ok_or(CertError::NoRehearsal)?;
        let _lock = self.storage.lock()?;
        let kind = attempt::kind(name, authority, held.record.failures)?;
        Box::pin(self.ordering(authority, staging)?.order(name, kind, None)).await?;
        self.note(name, &held.folder(name), |record| record.rehearsed = true);
        Ok(staging.clone())
    }

    fn is_to_be_asked(&self, name: &CertName, now: SystemTime) -> bool {
        let Some(held) = self.of(name) else { return false };
        let has = held.chain.is_some_and(|chain| chain.id.is_some() && chain.is_valid(now));
        name.issuer() == Issuer::Acme && has && held.record.ask_again.unwrap_or(0) <= seconds(now)
    }

    /// RFC 9773 section 4. That an authority has no answer is no error: two thirds of the time hold then.
    async fn ask_about_renewal(&self, name: &CertName, now: SystemTime) {
        // An account may be made on the way, and an order would make another.
        let _turn = self.turn.lock().await;
        let Some(held) = self.of(name) else { return };
        let Some(id) = held.chain.as_ref().and_then(|chain| chain.id.clone()) else { return };
        let asked = async {
            let authority = &held.authority;
            let account = self.ordering(authority, &authority.directory)?.account().await?;
            account.renewal_info(&id).await.map_err(|error| CertError::Server { why: error.to_string() })
        };
        let told = asked.await;
        self.note(name, &held.folder(name), |record| match told {
            Ok((info, again)) => {
                let at = |time: i64| u64::try_from(time).unwrap_or(0);
                let window = &info.suggested_window;
                let (start, end) = (at(window.start.unix_timestamp()), at(window.end.unix_timestamp()));
                record.window = Some(Window { start, end });
                record.ask_again = Some(renewal::ask_again(now, again));
                if record.failures == 0 {
                    // A damaged record was told of, and here is another.
                    record.error = None;
                }
            }
            Err(error) => {
                tracing::debug!(%name, %error, "the authority says nothing about renewal");
                record.ask_again = Some(seconds(now + ASK_LATER));
            }
        });
    }

    /// With a transport of its own: an order is rare, and whom the system believes may have changed.
    fn ordering<'a>(
        &'a self,
        authority: &'a Authority,
        directory: &'a str,
    ) -> Result<Ordering<'a>, CertError> {
        let transport = Transport::new(self.resolver.clone(), authority.roots.clone());
        let transport = transport.map_err(|error| CertError::Unreachable {
            server: super::problem::server(directory),
            why: error.to_string(),
        })?;
        let Self { settings, storage, challenges, .. } = self;
        Ok(Ordering { settings, authority, storage, transport, challenges, directory })
    }

    /// What is stored for a name. What is damaged is put aside, told, and treated as missing.
    fn load(&self, name: &CertName, authority: &Arc<Authority>, now: SystemTime) -> Held {
        let folder = folder(name, authority);
        let json = self.storage.json(&folder, name);
        let mut record = Record::read(&json).unwrap_or_else(|error| self.damaged(&json, &error, now));
        let path = self.storage.pem(&folder, name);
        let chain = match storage::read(&path) {
            Ok(None) => None,
            Ok(Some(pem)) => match Chain::of_file(&path, &pem, name) {
                Ok(chain) => Some(chain),
                Err(error) => {
                    record.error = self.damaged(&path, &error, now).error;
                    None
                }
            },
            Err(error) => {
                tracing::warn!(code = error.code(), "{error}");
                record.complain(&error, now);
                None
            }
        };
        let held = Held { authority: Arc::clone(authority), chain, record };
        held.tell(name, now);
        held
    }

    /// A record that tells of damage.
    fn damaged(&self, path: &Path, error: &CertError, now: SystemTime) -> Record {
        tracing::warn!(code = error.code(), "{error}: put aside");
        if let Err(error) = storage::put_aside(path) {
            tracing::warn!(code = error.code(), "{error}");
        }
        let mut record = Record::default();
        record.complain(error, now);
        record
    }

    /// Changes a name's record, here and in its file, if the name's authority is still that with this folder.
    fn note(&self, name: &CertName, folder: &str, change: impl FnOnce(&mut Record)) {
        let record = {
            let mut all = self.held();
            let Some(held) = all.get_mut(name).filter(|held| held.folder(name) == folder) else { return };
            change(&mut held.record);
            held.record.clone()
        };
        if let Err(error) = record.write(&self.storage.json(folder, name)) {
            tracing::warn!(code = error.code(), "{error}");
        }
    }

    fn of(&self, name: &CertName) -> Option<Held> {
        self.held().get(name).cloned()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<CertName, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Folder of the authority that certifies `name`.
fn folder(name: &CertName, authority: &Authority) -> String {
    match name.issuer() {
        Issuer::Local => storage::LOCAL.to_owned(),
        Issuer::Acme => Storage::folder(&authority.directory),
    }
}

fn unknown(name: &CertName) -> CertError {
    CertError::Unknown { name: name.to_string() }
}
