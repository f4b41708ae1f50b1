//! Certificates of sites and streams: one store for each listener, from files that are read again when they change, and from a keeper
//! that has others by itself.
//!
//! ```text
//! build: files are read, the keeper is opened          (nothing is shown or ordered yet)
//! take_force: the keeper is told its names, every store what to show from now on
//! look_again: files that have changed, OCSP answers whose time is over
//! ```
//! Tickets and the authority for clients outlive a reload that does not concern them, and so does the keeper. A file that
//! cannot be used any more changes nothing: what was read last stays. Not here: which certificate a client is shown
//! (`net/certificates`), ordering (`cert`), whose task that is (`run/keeping`).

use super::{WiringError, read};
use crate::cert::{Authority, CertKeeper, CertName, CertSettings, Staple};
use crate::config::Settings;
use crate::config::settings::{CertFiles, SiteCertificate, SiteSettings, SiteTls, StreamSettings};
use shoalway_net::acme_challenges::AcmeChallenges;
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::resolver::Resolver;
use shoalway_net::tls_server::TlsServer;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What is spoken inside, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// The same where an authority may look.
const ALPN_AND_CHECKS: [&[u8]; 3] = [b"h2", b"http/1.1", AcmeChallenges::ALPN];

/// The certificates of all listeners of sites.
#[derive(Clone)]
pub(super) struct SiteCertificates {
    /// One for the life of the process.
    challenges: Arc<AcmeChallenges>,
    keeper: Option<Arc<CertKeeper>>,
    /// The keeper before, if it is another.
    before: Option<Arc<CertKeeper>>,
    /// What the keeper is to keep.
    names: Vec<(CertName, Arc<Authority>)>,
    stores: HashMap<Arc<str>, Store>,
}

/// Those of one listener.
#[derive(Clone)]
struct Store {
    certificates: Arc<CertificateStore>,
    server: TlsServer,
    shown: Shown,
    files: Vec<OfSite>,
    read: Read,
    kept: Vec<CertName>,
}

/// What a store is made with, besides certificates.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    client_ca: Option<Vec<u8>>,
    /// What is spoken inside, and whether authorities may look.
    alpn: Vec<Vec<u8>>,
}

/// Files of one site.
#[derive(Clone)]
struct OfSite {
    site: String,
    files: CertFiles,
}

/// What files held when they were read.
#[derive(Clone, Default)]
struct Read {
    stamps: Vec<Stamp>,
    certificates: Vec<Certificate>,
    /// When the first of the OCSP answers is over.
    until: Option<SystemTime>,
    /// OCSP answers that are not sent, and why.
    complaints: Vec<(PathBuf, String)>,
}

/// When a file was written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

impl SiteCertificates {
    pub(super) fn new() -> Self {
        Self {
            challenges: AcmeChallenges::new(),
            keeper: None,
            before: None,
            names: Vec::new(),
            stores: HashMap::new(),
        }
    }

    /// Who keeps certificates, if any are to be kept.
    pub(super) const fn keeper(&self) -> Option<&Arc<CertKeeper>> {
        self.keeper.as_ref()
    }

    /// Answers for authorities that ask in the clear; none where nobody is asked about.
    pub(super) fn challenges(&self) -> Option<Arc<AcmeChallenges>> {
        self.keeper.is_some().then(|| Arc::clone(&self.challenges))
    }

    /// Opens a keeper for all that is to be kept, or goes on with the one there is. `resolver` is that of the configuration
    /// before.
    ///
    /// # Errors
    /// [`WiringError`] when there is no place to keep anything.
    pub(super) fn keep(
        &mut self,
        settings: &Settings,
        resolver: &Resolver,
        same_resolver: bool,
    ) -> Result<(), WiringError> {
        self.names = settings.sites.iter().filter_map(kept_by).collect();
        let here = |keeper: &Arc<CertKeeper>| same_resolver && keeper.root() == settings.certificates;
        let standing = self.keeper.take();
        self.before.clone_from(&standing);
        if self.names.is_empty() {
            return Ok(());
        }
        self.keeper = Some(match standing.filter(here) {
            Some(keeper) => keeper,
            None => {
                let how = CertSettings::new(settings.certificates.clone());
                CertKeeper::open(how, resolver.clone(), Arc::clone(&self.challenges), &self.names)
                    .map_err(WiringError::Keeping)?
            }
        });
        Ok(())
    }

    /// TLS of a listener with these sites; none when they are plain.
    ///
    /// # Errors
    /// [`WiringError`] when a certificate cannot be used.
    pub(super) fn server(
        &mut self,
        listener: &Arc<str>,
        sites: &[&SiteSettings],
    ) -> Result<Option<TlsServer>, WiringError> {
        let all = || sites.iter().filter_map(|site| Some((site.name.as_str(), site.tls.as_ref()?)));
        let Some((_, first)) = all().next() else {
            self.stores.remove(listener);
            return Ok(None);
        };
        let files: Vec<OfSite> = all().filter_map(|(site, tls)| of_site(site, tls)).collect();
        let kept: Vec<CertName> = sites.iter().filter_map(|site| Some(kept_by(site)?.0)).collect();
        let read = read_all(&files, SystemTime::now())?;
        let client_ca = first.client_ca.as_ref().map(super::read).transpose()?;
        let is_checked = !kept.is_empty() && client_ca.is_none();
        let alpn: &[&[u8]] = if is_checked { &ALPN_AND_CHECKS } else { &ALPN };
        let shown = Shown { client_ca, alpn: alpn.iter().map(|name| name.to_vec()).collect() };
        self.put(listener, shown, files, read, kept).map(Some)
    }

    /// TLS of a stream's listener; none when it ends elsewhere.
    ///
    /// # Errors
    /// [`WiringError`] when a certificate cannot be used.
    pub(super) fn stream(
        &mut self,
        listener: &Arc<str>,
        stream: &StreamSettings,
    ) -> Result<Option<TlsServer>, WiringError> {
        let Some(tls) = &stream.tls else {
            self.stores.remove(listener);
            return Ok(None);
        };
        // Whatever name is asked for: there is one certificate.
        let files = vec![OfSite { site: "*".to_owned(), files: tls.files.clone() }];
        let read = read_all(&files, SystemTime::now())?;
        let client_ca = tls.client_ca.as_ref().map(super::read).transpose()?;
        let alpn = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        self.put(listener, Shown { client_ca, alpn }, files, read, Vec::new()).map(Some)
    }

    /// Keeps the store of a listener; one that is alike goes on, with its tickets.
    fn put(
        &mut self,
        listener: &Arc<str>,
        shown: Shown,
        files: Vec<OfSite>,
        read: Read,
        kept: Vec<CertName>,
    ) -> Result<TlsServer, WiringError> {
        let alike = |old: &&Store| old.shown == shown;
        let (certificates, server) = match self.stores.get(listener).filter(alike) {
            Some(old) => (Arc::clone(&old.certificates), old.server.clone()),
            None => {
                let store = CertificateStore::with_challenges(&[], Arc::clone(&self.challenges));
                let alpn: Vec<&[u8]> = shown.alpn.iter().map(Vec::as_slice).collect();
                let server = TlsServer::with_store(Arc::clone(&store), shown.client_ca.as_deref(), &alpn);
                (store, server.map_err(WiringError::SiteCertificate)?)
            }
        };
        let store = Store { certificates, server: server.clone(), shown, files, read, kept };
        self.stores.insert(Arc::clone(listener), store);
        Ok(server)
    }

    /// Shows what the configuration says, and keeps what it names; it takes force now.
    pub(super) fn take_force(&mut self) {
        let another =
            |before: &Arc<CertKeeper>| self.keeper.as_ref().is_none_or(|keeper| !Arc::ptr_eq(keeper, before));
        if let Some(before) = self.before.take().filter(another) {
            before.let_go();
        }
        if let Some(keeper) = &self.keeper {
            keeper.set_names(&self.names);
        }
        for store in self.stores.values() {
            store.show(self.keeper.as_deref());
        }
    }

    /// Forgets listeners that are gone.
    pub(super) fn retain(&mut self, listeners: &[Arc<str>]) {
        self.stores.retain(|listener, _| listeners.contains(listener));
    }

    /// Reads again what has changed since it was read. What cannot be used is told once and stays as it was.
    pub(super) fn look_again(&mut self, now: SystemTime) {
        for (listener, store) in &mut self.stores {
            let over = store.read.until.is_some_and(|until| until <= now);
            let stamps = stamps(&store.files);
            if stamps == store.read.stamps && !over {
                continue;
            }
            store.read.stamps = stamps;
            store.read.until = None;
            match read_all(&store.files, now) {
                Ok(read) => {
                    for (file, why) in &read.complaints {
                        tracing::warn!(%listener, file = %file.display(), "the OCSP answer is not sent: {why}");
                    }
                    store.read = read;
                    store.show(self.keeper.as_deref());
                    tracing::info!(%listener, "certificates were read again");
                }
                Err(error) => {
                    tracing::warn!(%listener, %error, "certificates have changed and cannot be used: the old ones stay");
                }
            }
        }
    }
}

impl Store {
    /// Shows what files hold and what is kept, now and from now on.
    fn show(&self, keeper: Option<&CertKeeper>) {
        let fixed = self.read.certificates.clone();
        match keeper {
            Some(keeper) => keeper.feed(&self.certificates, fixed, self.kept.clone()),
            None => self.certificates.replace(&fixed),
        }
    }
}

/// The name of a site whose certificate is kept.
fn kept_by(site: &SiteSettings) -> Option<(CertName, Arc<Authority>)> {
    match &site.tls.as_ref()?.certificate {
        SiteCertificate::Kept { name, authority } => Some((name.clone(), Arc::clone(authority))),
        SiteCertificate::Files(_) => None,
    }
}

fn of_site(site: &str, tls: &SiteTls) -> Option<OfSite> {
    match &tls.certificate {
        SiteCertificate::Files(files) => Some(OfSite { site: site.to_owned(), files: files.clone() }),
        SiteCertificate::Kept { .. } => None,
    }
}

fn read_all(all: &[OfSite], now: SystemTime) -> Result<Read, WiringError> {
    let mut found = Read { stamps: stamps(all), ..Read::default() };
    for OfSite { site, files: CertFiles { cert, key, ocsp } } in all {
        let chain = read(cert)?;
        let staple = ocsp.as_ref().and_then(|path| staple(path, &chain, now, &mut found));
        let made =
            Certificate::from_pem(&chain, &read(key)?, staple).map_err(WiringError::SiteCertificate)?;
        found.certificates.push(made.of_site(site));
    }
    Ok(found)
}

/// An OCSP answer that may be sent. One that may not is no reason to be without the certificate.
fn staple(path: &PathBuf, chain: &[u8], now: SystemTime, found: &mut Read) -> Option<Vec<u8>> {
    let read = read(path).map_err(|error| error.to_string());
    let looked = |der| Staple::read(der, chain, now).map_err(|why| why.to_string());
    match read.and_then(looked) {
        Ok(Staple { der, until }) => {
            found.until = found.until.into_iter().chain(until).min();
            Some(der)
        }
        Err(why) => {
            found.complaints.push((path.clone(), why));
            None
        }
    }
}

fn stamps(all: &[OfSite]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    let paths = |OfSite { files: CertFiles { cert, key, ocsp }, .. }: &OfSite| {
        [Some(stamp(cert)), Some(stamp(key)), ocsp.as_ref().map(stamp)]
    };
    all.iter().flat_map(paths).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_testkit::TestCa;
    use std::time::Duration;

    #[test]
    fn an_ocsp_answer_is_no_longer_sent_when_its_time_is_over_though_no_file_has_changed() {
        let ca = TestCa::new();
        let issued = ca.issue(&["shop.example"]);
        let ocsp = Some(ca.ocsp(&issued, "V"));
        let files = CertFiles { cert: issued.cert.clone(), key: issued.key.clone(), ocsp };
        let files = vec![OfSite { site: "shop.example".to_owned(), files }];
        let now = SystemTime::now();
        let read = read_all(&files, now).unwrap();
        assert!(read.until.is_some() && read.complaints.is_empty());
        let certificates = CertificateStore::new(&[]);
        let server = TlsServer::with_store(Arc::clone(&certificates), None, &ALPN).unwrap();
        let store = Store {
            certificates,
            server,
            shown: Shown { client_ca: None, alpn: Vec::new() },
            files,
            read,
            kept: Vec::new(),
        };
        let mut all = SiteCertificates::new();
        let listener: Arc<str> = "a".into();
        all.stores.insert(Arc::clone(&listener), store);

        all.look_again(now);
        assert!(all.stores[&listener].read.until.is_some(), "nothing has happened");
        all.look_again(now + Duration::from_hours(48));
        let read = &all.stores[&listener].read;
        assert_eq!((read.until, read.certificates.len(), read.complaints.len()), (None, 1, 1));
        assert!(read.complaints[0].1.starts_with("it has expired on "), "{:?}", read.complaints);
    }
}
