//! OCSP answers that are sent along with a certificate (RFC 6960 section 4.2, RFC 6066 section 8): read as far as it takes
//! to see that one is for this certificate, that it says "good", and until when it holds.
//!
//! Not here: fetching them, and their signatures: clients check those, and a wrong one is the operator's own.

use super::{moment, words};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::time::SystemTime;
use x509_parser::asn1_rs::{Any, Class, FromDer as _, Tag};
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

/// An answer that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// As it is sent.
    pub der: Vec<u8>,
    /// Until when it holds; none: as long as nothing newer is there.
    pub until: Option<SystemTime>,
}

/// Why an answer is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StapleError {
    /// Not in the form of OCSP, or no answer at all.
    #[error("it holds no OCSP answer")]
    NotOcsp,
    /// The certificate itself cannot be read.
    #[error("the certificate it belongs to cannot be read")]
    NoCertificate,
    /// It speaks of other certificates.
    #[error("it is for another certificate")]
    Foreign,
    /// It says `revoked` or `unknown`.
    #[error("it does not say that the certificate is good")]
    NotGood,
    /// Its time is over.
    #[error("it has expired on {}", words(*.0))]
    Expired(SystemTime),
    /// Its time has not begun.
    #[error("it holds from {} on", words(*.0))]
    NotYet(SystemTime),
}

/// `BasicOCSPResponse`: 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// 1.3.14.3.2.26 and 2.16.840.1.101.3.4.2.1.
const HASHES: [(&[u8], &Algorithm); 2] = [
    (&[0x2b, 0x0e, 3, 2, 0x1a], &SHA1_FOR_LEGACY_USE_ONLY),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], &SHA256),
];

impl Staple {
    /// Looks at an answer for the first certificate in `chain` (PEM).
    ///
    /// # Errors
    /// [`StapleError`] says why it is not to be sent.
    pub fn read(der: Vec<u8>, chain: &[u8], now: SystemTime) -> Result<Self, StapleError> {
        let leaf = CertificateDer::from_pem_slice(chain).map_err(|_why| StapleError::NoCertificate)?;
        let (_, leaf) = X509Certificate::from_der(&leaf).map_err(|_why| StapleError::NoCertificate)?;
        let mut answers = answers(&der).ok_or(StapleError::NotOcsp)?;
        while !answers.0.is_empty() {
            let one = single(&mut answers).ok_or(StapleError::NotOcsp)?;
            if is_for(&one, &leaf) {
                let until = one.holds(now)?;
                return Ok(Self { der, until });
            }
        }
        Err(StapleError::Foreign)
    }
}

/// Octets that are read value by value.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, of whatever kind.
    fn any(&mut self) -> Option<Any<'a>> {
        let (rest, value) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    /// The content of the next value, which must be of this kind.
    fn of(&mut self, class: Class, tag: u32) -> Option<&'a [u8]> {
        let value = self.any()?;
        (value.class() == class && value.tag().0 == tag).then_some(value.data)
    }

    fn universal(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.of(Class::Universal, tag.0)
    }

    fn sequence(&mut self) -> Option<Self> {
        self.universal(Tag::Sequence).map(Self)
    }

    /// What stands in an explicit tag, if that is next.
    fn tagged(&mut self, tag: u32) -> Option<Self> {
        let mut ahead = Self(self.0);
        let content = ahead.of(Class::ContextSpecific, tag)?;
        *self = ahead;
        Some(Self(content))
    }

    fn time(&mut self) -> Option<SystemTime> {
        let (rest, time) = ASN1Time::from_der(self.0).ok()?;
        self.0 = rest;
        Some(moment(time.timestamp().try_into().unwrap_or(0)))
    }
}

/// The list of single answers in a successful response.
fn answers(der: &[u8]) -> Option<Der<'_>> {
    let mut response = Der(der).sequence()?;
    if response.universal(Tag::Enumerated)? != [0] {
        return None;
    }
    let mut bytes = response.tagged(0)?.sequence()?;
    if bytes.universal(Tag::Oid)? != BASIC {
        return None;
    }
    let mut data = Der(bytes.universal(Tag::OctetString)?).sequence()?.sequence()?;
    let _version = data.tagged(0);
    data.any()?; // who answers
    data.time()?; // when it was made
    data.sequence()
}

/// One answer about one certificate.
struct Single<'a> {
    hash: &'a [u8],
    issuer: &'a [u8],
    serial: &'a [u8],
    good: bool,
    from: SystemTime,
    until: Option<SystemTime>,
}

fn single<'a>(answers: &mut Der<'a>) -> Option<Single<'a>> {
    let mut answer = answers.sequence()?;
    let mut id = answer.sequence()?;
    let hash = id.sequence()?.universal(Tag::Oid)?;
    let issuer = id.universal(Tag::OctetString)?;
    id.universal(Tag::OctetString)?; // of the issuer's key
    let serial = id.universal(Tag::Integer)?;
    let status = answer.any()?;
    let good = status.class() == Class::ContextSpecific && status.tag().0 == 0;
    let from = answer.time()?;
    let until = match answer.tagged(0) {
        Some(mut next) => Some(next.time()?),
        None => None,
    };
    Some(Single { hash, issuer, serial, good, from, until })
}

fn is_for(one: &Single<'_>, leaf: &X509Certificate<'_>) -> bool {
    let known = HASHES.iter().find(|(oid, _)| *oid == one.hash);
    let issuer = known.map(|(_, algorithm)| digest(algorithm, leaf.issuer().as_raw()));
    one.serial == leaf.raw_serial() && issuer.is_some_and(|issuer| issuer.as_ref() == one.issuer)
}

impl Single<'_> {
    /// Until when it may be sent, if it may be sent now.
    fn holds(&self, now: SystemTime) -> Result<Option<SystemTime>, StapleError> {
        match self.until {
            _ if !self.good => Err(StapleError::NotGood),
            _ if now < self.from => Err(StapleError::NotYet(self.from)),
            Some(until) if until <= now => Err(StapleError::Expired(until)),
            until => Ok(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_testkit::TestCa;
    use std::time::Duration;

    #[test]
    fn an_answer_is_sent_for_its_certificate_in_its_time_and_when_it_is_good() {
        let ca = TestCa::new();
        let (shop, other) = (ca.issue(&["shop.example"]), ca.issue(&["other.example"]));
        let pem = |path: &std::path::Path| std::fs::read(path).unwrap();
        let (shop_pem, other_pem) = (pem(&shop.cert), pem(&other.cert));
        let stranger = pem(&TestCa::new().issue(&["shop.example"]).cert);
        let now = SystemTime::now();
        let good = std::fs::read(ca.ocsp(&shop, "V")).unwrap();
        let revoked = std::fs::read(ca.ocsp(&other, "R")).unwrap();
        let day = Duration::from_hours(24);

        let staple = Staple::read(good.clone(), &shop_pem, now).unwrap();
        let until = staple.until.unwrap();
        assert!(until > now + day / 2 && until < now + 2 * day && staple.der == good);
        for (der, chain, now, wanted) in [
            (&good, &other_pem, now, StapleError::Foreign),
            (&good, &stranger, now, StapleError::Foreign),
            (&good, &shop_pem, now + 2 * day, StapleError::Expired(until)),
            (&revoked, &other_pem, now, StapleError::NotGood),
            (&b"nonsense".to_vec(), &shop_pem, now, StapleError::NotOcsp),
            (&Vec::new(), &shop_pem, now, StapleError::NotOcsp),
            (&vec![0x30, 3, 0x0a, 1, 1], &shop_pem, now, StapleError::NotOcsp), // malformedRequest
            (&good, &b"nonsense".to_vec(), now, StapleError::NoCertificate),
        ] {
            assert_eq!(Staple::read(der.clone(), chain, now), Err(wanted));
        }
        let early = Staple::read(good.clone(), &shop_pem, now - day).unwrap_err();
        assert!(matches!(early, StapleError::NotYet(_)), "{early}");
        for cut in 0..good.len() {
            assert!(Staple::read(good[..cut].to_vec(), &shop_pem, now).is_err(), "{cut}");
        }
    }
}
