//! Certificates of sites: one store for each listener, read again when its files change.
//!
//! Tickets and the authority for clients outlive a reload that does not concern them. A file that cannot be used any more
//! changes nothing: what was read last stays. Not here: which certificate a client is shown (`net/certificates`).

use super::{WiringError, read};
use crate::config::settings::{SiteSettings, TlsSettings};
use shoalway_net::certificates::{Certificate, CertificateStore};
use shoalway_net::tls_server::TlsServer;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What is spoken inside, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificates of all listeners of sites.
#[derive(Clone, Default)]
pub(super) struct SiteCertificates {
    stores: HashMap<Arc<str>, Store>,
    /// What stores that stand are to show from now on, once the configuration is in force.
    pending: Vec<(Arc<CertificateStore>, Vec<Certificate>)>,
}

/// Those of one listener.
#[derive(Clone)]
struct Store {
    certificates: Arc<CertificateStore>,
    server: TlsServer,
    client_ca: Option<Vec<u8>>,
    files: Vec<TlsSettings>,
    stamps: Vec<Stamp>,
}

/// When a file was written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

impl SiteCertificates {
    /// TLS of a listener with these sites; none when they are plain.
    ///
    /// # Errors
    /// [`WiringError`] when a certificate cannot be used.
    pub(super) fn server(
        &mut self,
        listener: &Arc<str>,
        sites: &[&SiteSettings],
    ) -> Result<Option<TlsServer>, WiringError> {
        let files: Vec<TlsSettings> = sites.iter().filter_map(|site| site.tls.clone()).collect();
        let Some(first) = files.first() else {
            self.stores.remove(listener);
            return Ok(None);
        };
        let stamps = stamps(&files);
        let certificates = certificates(&files)?;
        let client_ca = first.client_ca.as_ref().map(read).transpose()?;
        let store = match self.stores.get(listener).filter(|old| old.client_ca == client_ca) {
            Some(old) => {
                self.pending.push((Arc::clone(&old.certificates), certificates));
                Store { files, stamps, ..old.clone() }
            }
            None => {
                let store = CertificateStore::new(&certificates);
                let server = TlsServer::with_store(Arc::clone(&store), client_ca.as_deref(), &ALPN)
                    .map_err(WiringError::SiteCertificate)?;
                Store { certificates: store, server, client_ca, files, stamps }
            }
        };
        let server = store.server.clone();
        self.stores.insert(Arc::clone(listener), store);
        Ok(Some(server))
    }

    /// Shows what the configuration says; it takes force now.
    pub(super) fn take_force(&mut self) {
        for (store, certificates) in self.pending.drain(..) {
            store.replace(&certificates);
        }
    }

    /// Forgets listeners that are gone.
    pub(super) fn retain(&mut self, listeners: &[Arc<str>]) {
        self.stores.retain(|listener, _| listeners.contains(listener));
    }

    /// Reads again what has changed since it was read. What cannot be used is told once and stays as it was.
    pub(super) fn look_again(&mut self) {
        for (listener, store) in &mut self.stores {
            let now = stamps(&store.files);
            if now == store.stamps {
                continue;
            }
            store.stamps = now;
            match certificates(&store.files) {
                Ok(fresh) => {
                    store.certificates.replace(&fresh);
                    tracing::info!(%listener, "certificates were read again");
                }
                Err(error) => {
                    tracing::warn!(%listener, %error, "certificates have changed and cannot be used: the old ones stay");
                }
            }
        }
    }
}

fn certificates(files: &[TlsSettings]) -> Result<Vec<Certificate>, WiringError> {
    let one = |TlsSettings { cert, key, client_ca: _ }: &TlsSettings| {
        Certificate::from_pem(&read(cert)?, &read(key)?, None).map_err(WiringError::SiteCertificate)
    };
    files.iter().map(one).collect()
}

fn stamps(files: &[TlsSettings]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    files.iter().flat_map(|tls| [stamp(&tls.cert), stamp(&tls.key)]).collect()
}
