//! At which ports the names of sites are proven to authorities (RFC 8555 section 8.3, RFC 8737): the ports are those of all
//! sites, so this is looked at when all are known.
//!
//! Not here: what else is said about certificates (`certificates`).

use super::{Defaults, kinds, place_of_acme};
use crate::cert::{ChallengeKind, Issuer};
use crate::config::at::Place;
use crate::config::catalogue::Code;
use crate::config::check::Check;
use crate::config::file::SiteSection;
use crate::config::report::Problem;
use crate::config::settings::{SiteCertificate, SiteSettings, SiteTls};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Says how each site's name is proven, now that all ports are known.
pub(in crate::config::check) fn ways(
    sites: &mut [SiteSettings],
    sections: &BTreeMap<String, SiteSection>,
    defaults: &Defaults,
    check: &mut Check<'_>,
) {
    let plain: Vec<u16> = sites
        .iter()
        .filter(|site| site.tls.is_none())
        .flat_map(|site| site.listen.iter().map(SocketAddr::port))
        .collect();
    for site in sites {
        let Some(section) = sections.get(&site.name) else { continue };
        let Some(acme) = &section.acme else { continue };
        let secure: Vec<u16> = site.listen.iter().map(SocketAddr::port).collect();
        let Some(SiteTls { certificate, client_ca }) = &mut site.tls else { continue };
        let SiteCertificate::Kept { name, authority } = certificate else { continue };
        if name.issuer() == Issuer::Local {
            continue;
        }
        let ports = Ports { plain: &plain, secure: &secure, client_ca: client_ca.is_some() };
        let chosen = acme.challenges.as_ref().map(|list| kinds(list, check));
        let found = match chosen.as_ref().or(defaults.challenges.as_ref()) {
            Some(chosen) => chosen.iter().copied().filter(|kind| ports.serve(*kind)).collect(),
            None => ports.usual(),
        };
        let misread = chosen.as_ref().is_some_and(Vec::is_empty)
            && !acme.challenges.iter().all(|all| all.items().is_empty());
        let lost = misread || ["challenges", "listen"].iter().any(|key| check.is_lost(key));
        let wrong = chosen.iter().flatten().find(|kind| !ports.serve(**kind)).copied();
        if !lost && (found.is_empty() || wrong.is_some()) {
            let place = place_of_acme(section, acme);
            check.add(unprovable(&site.name, place, wrong, &ports));
        }
        Arc::make_mut(authority).challenges = found;
    }
}

/// Ports that an authority may look at.
struct Ports<'a> {
    /// Of all sites in the clear.
    plain: &'a [u16],
    /// Of the site itself.
    secure: &'a [u16],
    client_ca: bool,
}

impl Ports<'_> {
    /// Whether an authority that is led here finds an answer.
    const fn serve(&self, kind: ChallengeKind) -> bool {
        match kind {
            ChallengeKind::Http01 => !self.plain.is_empty(),
            ChallengeKind::TlsAlpn01 => !self.client_ca,
        }
    }

    /// The ways for which there are the ports that authorities look at.
    fn usual(&self) -> Vec<ChallengeKind> {
        let http = self.plain.contains(&ChallengeKind::Http01.port()).then_some(ChallengeKind::Http01);
        let tls = self.secure.contains(&ChallengeKind::TlsAlpn01.port()) && !self.client_ca;
        http.into_iter().chain(tls.then_some(ChallengeKind::TlsAlpn01)).collect()
    }
}

fn unprovable(site: &str, place: Place, wrong: Option<ChallengeKind>, ports: &Ports<'_>) -> Problem {
    let message = match wrong {
        Some(ChallengeKind::Http01) => {
            format!("`{site}` cannot be proven by http-01: no site listens without TLS")
        }
        Some(ChallengeKind::TlsAlpn01) => {
            format!("`{site}` cannot be proven by tls-alpn-01: with `client_ca` no authority gets in")
        }
        None if ports.secure.contains(&443) && ports.client_ca => format!(
            "`{site}` cannot be proven: with `client_ca` no authority gets in on port 443, and no plain site listens on port 80"
        ),
        None => format!(
            "`{site}` cannot be proven: no plain site listens on port 80, and it does not listen on port 443 itself"
        ),
    };
    let problem = Problem::new(Code::Unprovable, place, message);
    let problem = problem.fix(
        "add [sites.\"*\"] with listen = \"0.0.0.0:80\" and routes = [\"* => redirect:https://$host$uri\"]",
    );
    if ports.client_ca {
        return problem;
    }
    problem
        .fix("or let the site listen on port 443")
        .fix("or, when a router leads that port here, write acme = { challenges = [\"tls-alpn-01\"] }")
}
