//! Rates of client networks, kept over reloads: who was over the limit stays so.
//!
//! Not here: counting (`policy/gcra`).

use shoalway_policy::{Rate, RateTable};
use std::collections::HashMap;
use std::sync::Arc;

/// Client networks of one site or stream that are remembered: 2 MiB.
const NETWORKS: usize = 1 << 16;

/// All tables, by the name of what they guard.
#[derive(Clone, Default)]
pub(super) struct RateKeeper {
    tables: HashMap<String, Arc<RateTable>>,
}

impl RateKeeper {
    /// The table of a site or stream, with everything it has counted while the rate is the same.
    pub(super) fn table(&mut self, name: &str, rate: Option<Rate>) -> Option<Arc<RateTable>> {
        let Some(rate) = rate else {
            self.tables.remove(name);
            return None;
        };
        let standing = self.tables.get(name).filter(|table| table.rate() == rate);
        let table = standing.map_or_else(|| Arc::new(RateTable::new(rate, NETWORKS)), Arc::clone);
        self.tables.insert(name.to_owned(), Arc::clone(&table));
        Some(table)
    }

    /// Forgets what is not named.
    pub(super) fn retain(&mut self, names: &[&str]) {
        self.tables.retain(|name, _| names.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::time::Duration;

    #[test]
    fn a_table_is_kept_while_its_rate_is() {
        let rate = |n| Rate::new(NonZeroU32::new(n).unwrap(), Duration::from_secs(1), NonZeroU32::MIN);
        let mut keeper = RateKeeper::default();
        let first = keeper.table("a", Some(rate(1))).unwrap();
        assert!(Arc::ptr_eq(&first, &keeper.table("a", Some(rate(1))).unwrap()));
        assert!(!Arc::ptr_eq(&first, &keeper.table("a", Some(rate(2))).unwrap()));
        assert!(keeper.table("a", None).is_none() && keeper.tables.is_empty());
        keeper.table("b", Some(rate(1))).unwrap();
        keeper.retain(&["a"]);
        assert!(keeper.tables.is_empty());
    }
}
