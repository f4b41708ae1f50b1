//! The authority's own keys: a root, an intermediate, and what they sign.

use super::jws::{Key, malformed};
use super::state::Problem;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use rustls::pki_types::CertificateSigningRequestDer;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

/// Root and intermediate.
pub(super) struct Issuing {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate that was issued.
pub(super) struct Issued {
    /// PEM: the certificate, then the intermediate.
    pub(super) chain: String,
    /// RFC 9773 section 4.1.
    pub(super) id: String,
    pub(super) validity: (SystemTime, SystemTime),
}

impl Issuing {
    pub(super) fn new() -> Self {
        let key = || KeyPair::generate().expect("make a key");
        let root = CertifiedIssuer::self_signed(authority("Test Root"), key()).expect("sign a root");
        let intermediate =
            CertifiedIssuer::signed_by(authority("Test Intermediate"), key(), &root).expect("sign an issuer");
        Self { root, intermediate }
    }

    pub(super) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// RFC 8555 section 7.4: the request is for exactly the names of the order, under a key that is not the account's.
    pub(super) fn issue(
        &self,
        csr: Vec<u8>,
        names: &[String],
        account: &Key,
        serial: u64,
        lifetime: Duration,
    ) -> Result<Issued, Problem> {
        let bad = |detail: &str| Problem::new(403, "badCSR", detail);
        let mut csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr))
            .map_err(|error| bad(&format!("not a request for a certificate: {error}")))?;
        let mut asked = Vec::new();
        for name in &csr.params.subject_alt_names {
            let SanType::DnsName(name) = name else { return Err(bad("a name that is no DNS name")) };
            asked.push(name.as_str().to_ascii_lowercase());
        }
        asked.sort();
        let mut wanted = names.to_vec();
        wanted.sort();
        if asked != wanted {
            return Err(bad("the names are not those of the order"));
        }
        if let Some(rcgen::DnValue::Utf8String(name)) = csr.params.distinguished_name.get(&DnType::CommonName)
            && !wanted.contains(name)
        {
            return Err(bad("a common name that was not ordered"));
        }
        if csr.public_key.der_bytes() == account.point()? {
            return Err(Problem::new(400, "badPublicKey", "the key of the account is for the account"));
        }
        let now = SystemTime::now();
        csr.params.not_before = (now - Duration::from_hours(1)).into();
        csr.params.not_after = (now + lifetime).into();
        // RFC 5280 section 4.1.2.2: positive; 16 octets with the first bit set need a zero before them.
        let mut octets = [0xA5; 16];
        octets[8..].copy_from_slice(&serial.to_be_bytes());
        csr.params.serial_number = Some(SerialNumber::from_slice(&octets));
        csr.params.use_authority_key_identifier_extension = true;
        let certificate = csr.signed_by(&self.intermediate).map_err(|error| malformed(&error.to_string()))?;
        Ok(Issued {
            chain: format!("{}{}", certificate.pem(), self.intermediate.pem()),
            id: id(certificate.der()),
            validity: (now - Duration::from_hours(1), now + lifetime),
        })
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters of an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// RFC 9773 section 4.1: key identifier and serial number as they stand in the certificate.
fn id(certificate: &[u8]) -> String {
    let (_, parsed) = X509Certificate::from_der(certificate).expect("own certificate");
    let key = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    let key = BASE64_URL_SAFE_NO_PAD.encode(key.expect("an authority key identifier"));
    format!("{key}.{}", BASE64_URL_SAFE_NO_PAD.encode(parsed.tbs_certificate.raw_serial()))
}

/// A time as ACME writes it (RFC 3339), in whole seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_795_174_200, "2026-11-20T11:30:00Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), wanted);
        }
    }
}
