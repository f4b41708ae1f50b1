//! Who shows the certificates: stores of listeners, filled anew whenever something changes.

use super::{CertKeeper, CertName};
use shoalway_net::certificates::{Certificate, CertificateStore};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The stores; one that nobody uses any more is forgotten.
#[derive(Default)]
pub(super) struct Feeds(Mutex<Vec<Feed>>);

struct Feed {
    store: Weak<CertificateStore>,
    /// Certificates from files, which come first.
    fixed: Vec<Certificate>,
    names: Vec<CertName>,
}

impl CertKeeper {
    /// Keeps `store` filled with `fixed` and what there is for `names`: now, and whenever that changes, as long as
    /// somebody else holds the store. A store that was fed before is fed as said now.
    ///
    /// While nothing is there for a name, its clients get the store's first certificate, or none at all.
    pub fn feed(&self, store: &Arc<CertificateStore>, fixed: Vec<Certificate>, names: Vec<CertName>) {
        let store = Arc::downgrade(store);
        {
            let mut feeds = self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
            feeds.retain(|feed| !feed.store.ptr_eq(&store));
            feeds.push(Feed { store, fixed, names });
        }
        self.publish();
    }

    /// Feeds nobody any more: another keeper has taken over.
    pub fn let_go(&self) {
        self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Hands out what there is now.
    pub(super) fn publish(&self) {
        let mut feeds = self.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.retain(|feed| feed.store.strong_count() > 0);
        for feed in feeds.iter() {
            if let Some(store) = feed.store.upgrade() {
                let kept = self.certificates(&feed.names);
                store.replace(&[feed.fixed.as_slice(), &kept].concat());
            }
        }
    }
}
