//! Metrics of the certificates that are kept. Names are those of sites.
//!
//! Not here: who knows them (`cert`).

use super::{Kind, Page};
use crate::cert::{Listed, seconds};

/// How each fares; nothing when none is kept.
pub(crate) fn certificates(listed: &[Listed]) -> String {
    let mut page = Page(String::new());
    if listed.is_empty() {
        return page.0;
    }
    let name = "shoalway_certificate_expires_timestamp_seconds";
    page.head(name, Kind::Gauge, "Until when the certificate is valid; 0 while there is none.");
    for one in listed {
        page.sample(name, &[("name", &one.name)], one.until.map_or(0, seconds));
    }
    let name = "shoalway_certificate_failures";
    page.head(name, Kind::Gauge, "Attempts in a row to have a certificate that failed.");
    for one in listed {
        page.sample(name, &[("name", &one.name)], one.failures);
    }
    page.0
}
