//! The task that keeps certificates: one at a time, and it ends with this value.
//!
//! Not here: what it does (`cert`), which certificates are kept (`wiring/certificates`).

use crate::cert::CertKeeper;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Keeps certificates, or nothing.
#[derive(Default)]
pub struct Keeping {
    keeper: Option<Arc<CertKeeper>>,
    task: JoinSet<()>,
}

impl Keeping {
    /// Lets this keeper work instead of the one before, which gives up what it is doing. The same one goes on. Must be
    /// called within the control runtime.
    pub fn set(&mut self, keeper: Option<Arc<CertKeeper>>) {
        let same = match (&self.keeper, &keeper) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return;
        }
        self.task.abort_all();
        if let Some(keeper) = &keeper {
            self.task.spawn(Arc::clone(keeper).run());
        }
        self.keeper = keeper;
    }
}
