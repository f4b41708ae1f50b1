//! Certificates of sites: from files, or by themselves (`[acme]` and `acme` of a site).
//!
//! Not here: at which ports names are proven (`ways`), ordering (`cert`), files of the forward proxy (`listeners`).

mod ways;

pub(super) use ways::ways;

use super::listeners::{certificate, client_authority};
use super::sites::place_of;
use super::{Check, unknown_word};
use crate::cert::{
    Authority, CertName, ChallengeKind, Issuer, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Staple, default_storage,
};
use crate::config::at::{At, Many, Place};
use crate::config::catalogue::Code;
use crate::config::file::{AcmeSection, SiteAcmeSection, SiteSection, SiteTlsSection, StreamTlsSection};
use crate::config::report::Problem;
use crate::config::settings::{CertFiles, SiteCertificate, SiteSettings, SiteTls, StreamTls};
use http::Uri;
use shoalway_net::tls::Roots;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// What `[acme]` says.
pub(super) struct Defaults {
    pub(super) storage: PathBuf,
    authority: Authority,
    /// Those that were written.
    challenges: Option<Vec<ChallengeKind>>,
}

/// Checks `[acme]`; `content` gains what its files hold.
pub(super) fn defaults(section: &AcmeSection, content: &mut Vec<String>, check: &mut Check<'_>) -> Defaults {
    let AcmeSection { email, directory, staging, staging_directory, ca, challenges, storage } = section;
    let roots = ca.as_ref().and_then(|at| roots(at, content, check)).unwrap_or_default();
    let named = directory.get().clone();
    let authority = Authority {
        email: email.as_ref().and_then(|at| address(at, check)),
        staging: staging_of(staging_directory.as_ref(), &named, check),
        rehearse: *staging.get(),
        directory: named,
        roots,
        challenges: Vec::new(),
    };
    url("directory", directory, check);
    can_rehearse(Some(staging), &authority, check);
    let storage = storage.as_ref().map(|at| check.path(at));
    Defaults {
        storage: storage.unwrap_or_else(|| default_storage(check.surroundings)),
        authority,
        challenges: challenges.as_ref().map(|list| kinds(list, check)),
    }
}

/// Notes an `[acme]` that nobody uses.
pub(super) fn used(section: &AcmeSection, sites: &[SiteSettings], check: &mut Check<'_>) {
    let kept = |site: &SiteSettings| kept(site).is_some();
    if sites.iter().any(kept) || ["acme", "on"].iter().any(|key| check.is_lost(key)) || check.has_errors() {
        return;
    }
    let AcmeSection { email, directory, staging, staging_directory, ca, challenges, storage } = section;
    let usual = AcmeSection::default();
    let directory = Some(directory).filter(|at| at.get() != usual.directory.get());
    let texts = [email.as_ref(), directory, staging_directory.as_ref(), ca.as_ref(), storage.as_ref()];
    let listed = challenges.iter().flat_map(Many::items).next();
    let written = texts.into_iter().chain([listed]).flatten().map(At::place);
    let switch = Some(staging).filter(|at| at.get() != usual.staging.get()).map(At::place);
    if let Some(place) = written.chain(switch).min_by_key(|place| place.start) {
        check.no_effect(place, "acme", "no site has `acme = true`");
    }
}

/// Whether a site's certificate is had by itself.
pub(super) fn is_kept(section: &SiteSection) -> bool {
    section.acme.as_ref().is_some_and(|acme| *acme.on.get())
}

/// TLS of a site as far as it could be checked; how its name is proven is not said yet. `content` gains what the files hold
/// that it names.
pub(super) fn site(
    name: &str,
    section: &SiteSection,
    defaults: &Defaults,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<SiteTls> {
    let acme = section.acme.as_ref().filter(|acme| *acme.on.get());
    let written = SiteTlsSection::default();
    let tls = match (&section.tls, acme) {
        (None, None) => return None,
        (tls, _) => tls.as_ref().unwrap_or(&written),
    };
    let ca = tls.client_ca.as_ref().and_then(|at| client_authority(at, check));
    content.extend(ca.iter().map(|file| file.text.clone()));
    let certificate = match acme {
        Some(acme) => {
            one_source(tls, check);
            by_itself(name, section, acme, defaults, content, check)?
        }
        None => SiteCertificate::Files(from_files(tls, content, check)?),
    };
    Some(SiteTls { certificate, client_ca: ca.map(|file| file.path) })
}

/// A site with `acme` has no files.
fn one_source(tls: &SiteTlsSection, check: &mut Check<'_>) {
    if let Some(at) = tls.cert.as_ref().or(tls.key.as_ref()) {
        let problem =
            Problem::new(Code::TwoSources, at.place(), "the site has `acme` and a certificate from a file");
        check.add(problem.label("one of the two").fix("remove `cert` and `key`, or write acme = false"));
    }
    if let Some(at) = &tls.ocsp {
        check.no_effect(at.place(), "ocsp", "it belongs to a certificate from a file");
    }
}

fn from_files(tls: &SiteTlsSection, content: &mut Vec<String>, check: &mut Check<'_>) -> Option<CertFiles> {
    let SiteTlsSection { cert, key, ocsp, client_ca } = tls;
    let beside = client_ca.as_ref().or(ocsp.as_ref());
    let (cert, key) = certificate(cert.as_ref(), key.as_ref(), beside, check);
    content.extend([&cert, &key].into_iter().flatten().map(|file| file.text.clone()));
    let (cert, key) = (cert?, key?);
    if let Some(at) = ocsp {
        staple(at, cert.text.as_bytes(), check);
    }
    let ocsp = ocsp.as_ref().map(|at| check.path(at));
    Some(CertFiles { cert: cert.path, key: key.path, ocsp })
}

/// TLS of a stream as far as it could be checked. `content` gains what the files hold that it names.
pub(super) fn stream(
    section: &StreamTlsSection,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<StreamTls> {
    let StreamTlsSection { cert, key, client_ca, alpn } = section;
    let names = alpn.iter().flat_map(Many::items);
    for at in names.clone() {
        // RFC 7301 section 3.1.
        if !(1..=255).contains(&at.get().len()) {
            let problem = Problem::new(Code::Range, at.place(), "`alpn` names a protocol in 1 to 255 bytes");
            check.add(problem.fix("write alpn = [\"h2\"], or leave the key out"));
        }
    }
    let beside = client_ca.as_ref().or_else(|| names.clone().next());
    let (cert, key) = certificate(cert.as_ref(), key.as_ref(), beside, check);
    let ca = client_ca.as_ref().and_then(|at| client_authority(at, check));
    content.extend([&cert, &key, &ca].into_iter().flatten().map(|file| file.text.clone()));
    let (cert, key) = (cert?, key?);
    Some(StreamTls {
        files: CertFiles { cert: cert.path, key: key.path, ocsp: None },
        client_ca: ca.map(|file| file.path),
        alpn: names.map(|at| at.get().clone()).collect(),
    })
}

fn staple(at: &At<String>, chain: &[u8], check: &mut Check<'_>) {
    let path = check.path(at);
    match check.surroundings.read(&path) {
        Ok(der) => {
            if let Err(why) = Staple::read(der, chain, SystemTime::now()) {
                let problem = Problem::new(Code::Staple, at.place(), "the OCSP answer is not sent");
                check.add(problem.label(why.to_string()));
            }
        }
        Err(error) => {
            let message = format!("cannot read the OCSP answer: {error}");
            let problem = Problem::new(Code::FileUnreadable, at.place(), message);
            check.add(problem.label(format!("looked for {}", path.display())));
        }
    }
}

fn by_itself(
    host: &str,
    section: &SiteSection,
    acme: &SiteAcmeSection,
    defaults: &Defaults,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<SiteCertificate> {
    let authority = authority(acme, defaults, content, check);
    let place = place_of_acme(section, acme);
    let name = match CertName::parse(host.trim_end_matches('.')) {
        Ok(name) => name,
        Err(_no_name) => {
            let message = format!("`{host}` is no DNS name, and no authority certifies it");
            let problem = Problem::new(Code::Unprovable, place, message);
            check.add(problem.fix("write a site for each name, or tls = { cert = ..., key = ... }"));
            return None;
        }
    };
    match name.issuer() {
        Issuer::Local => local(acme, check),
        Issuer::Acme if name.is_wildcard() => {
            let message = format!("`{name}` can be proven by DNS alone, which this version cannot do");
            let problem = Problem::new(Code::Unprovable, place, message);
            check.add(problem.fix("write a site for each name, or tls = { cert = ..., key = ... }"));
            return None;
        }
        Issuer::Acme => {}
    }
    Some(SiteCertificate::Kept { name, authority: Arc::new(authority) })
}

/// Where a mistake in `acme` of a site is shown.
fn place_of_acme(section: &SiteSection, acme: &SiteAcmeSection) -> Place {
    let SiteAcmeSection { on, email, directory, staging, staging_directory, ca, challenges } = acme;
    let texts = [email, directory, staging_directory, ca].into_iter().flatten().map(At::place);
    let switches = [Some(on).filter(|at| at.is_written()), staging.as_ref()].into_iter().flatten();
    let listed = challenges.iter().flat_map(Many::items).map(At::place);
    let all = texts.chain(switches.map(At::place)).chain(listed);
    all.min_by_key(|place| place.start).unwrap_or_else(|| place_of(section))
}

/// Notes what is said about an authority that is not asked.
fn local(acme: &SiteAcmeSection, check: &mut Check<'_>) {
    let SiteAcmeSection { on: _, email, directory, staging, staging_directory, ca, challenges } = acme;
    let texts = [
        ("email", email.as_ref()),
        ("directory", directory.as_ref()),
        ("staging_directory", staging_directory.as_ref()),
        ("ca", ca.as_ref()),
        ("challenges", challenges.iter().flat_map(Many::items).next()),
    ];
    let places = texts.into_iter().filter_map(|(key, at)| Some((key, at?.place())));
    for (key, place) in places.chain(staging.as_ref().map(|at| ("staging", at.place()))) {
        check.no_effect(place, key, "the authority of this machine certifies this name");
    }
}

fn authority(
    acme: &SiteAcmeSection,
    defaults: &Defaults,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Authority {
    let SiteAcmeSection { on: _, email, directory, staging, staging_directory, ca, challenges: _ } = acme;
    let general = &defaults.authority;
    let roots = ca.as_ref().and_then(|at| roots(at, content, check));
    let mut found =
        Authority { rehearse: staging.as_ref().map_or(general.rehearse, |at| *at.get()), ..general.clone() };
    if let Some(at) = email {
        found.email = address(at, check);
    }
    // What is said in general about another authority does not hold for this one.
    if let Some(at) = directory.as_ref().filter(|at| *at.get() != general.directory) {
        url("directory", at, check);
        found.directory.clone_from(at.get());
        found.roots = Roots::System;
        found.staging = staging_of(None, &found.directory, check);
    }
    if staging_directory.is_some() {
        found.staging = staging_of(staging_directory.as_ref(), &found.directory, check);
    }
    if let Some(roots) = roots {
        found.roots = roots;
    }
    can_rehearse(staging.as_ref(), &found, check);
    found
}

/// The name, when the site's certificate is had by itself.
const fn kept(site: &SiteSettings) -> Option<&CertName> {
    match &site.tls {
        Some(SiteTls { certificate: SiteCertificate::Kept { name, .. }, .. }) => Some(name),
        Some(SiteTls { certificate: SiteCertificate::Files(_), .. }) | None => None,
    }
}

fn kinds(list: &Many, check: &mut Check<'_>) -> Vec<ChallengeKind> {
    let known = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
    let mut found = Vec::new();
    for at in list.items() {
        match known.iter().find(|kind| kind.word() == at.get()) {
            Some(kind) if found.contains(kind) => {}
            Some(kind) => found.push(*kind),
            None => check.add(unknown_word("challenges", at, &known.map(ChallengeKind::word), &["dns-01"])),
        }
    }
    found
}

fn roots(at: &At<String>, content: &mut Vec<String>, check: &mut Check<'_>) -> Option<Roots> {
    let file = check.read_pem(at, "the authority's own authority", &["CERTIFICATE"])?;
    content.push(file.text.clone());
    Some(Roots::Pem(file.text.into_bytes()))
}

fn staging_of(written: Option<&At<String>>, directory: &str, check: &mut Check<'_>) -> Option<String> {
    match written {
        Some(at) => {
            url("staging_directory", at, check);
            Some(at.get().clone())
        }
        None => (directory == LETS_ENCRYPT).then(|| LETS_ENCRYPT_STAGING.to_owned()),
    }
}

/// Notes a rehearsal without a stage.
fn can_rehearse(staging: Option<&At<bool>>, authority: &Authority, check: &mut Check<'_>) {
    let wanted = staging.filter(|at| at.is_written() && *at.get());
    if let (Some(at), None) = (wanted, &authority.staging)
        && !check.is_lost("staging_directory")
    {
        check.no_effect(at.place(), "staging", "this authority's `staging_directory` is not named");
    }
}

/// RFC 8555 section 6.1.
fn url(key: &str, at: &At<String>, check: &mut Check<'_>) {
    let read = at.get().parse::<Uri>().ok();
    let good = read.is_some_and(|uri| {
        uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !good {
        let message = format!("`{key}` is not an https URL: `{}`", at.get());
        check.add(
            Problem::new(Code::Authority, at.place(), message).label("such as https://ca.example/directory"),
        );
    }
}

/// RFC 8555 section 7.3: one address, without anything around it.
fn address(at: &At<String>, check: &mut Check<'_>) -> Option<String> {
    let text = at.get();
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|octet| octet.is_ascii_graphic() && !b",?%:<>\"()".contains(&octet))
    };
    if text.split_once('@').is_some_and(|(user, host)| plain(user) && plain(host) && !host.contains('@')) {
        return Some(text.clone());
    }
    let message = format!("`{text}` is not one e-mail address");
    check.add(Problem::new(Code::Authority, at.place(), message).label("such as ops@example.org"));
    None
}
