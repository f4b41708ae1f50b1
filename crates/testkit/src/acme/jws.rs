//! Signed requests: JWS in flattened form with ES256 (RFC 7515 section 7.2.2, RFC 7518 section 3.4, RFC 8555 section 6.2).

use super::state::Problem;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

/// A request as it came; nothing of it is believed before [`Jws::verify`].
pub(super) struct Jws {
    protected: Value,
    signed: String,
    signature: Vec<u8>,
    payload: Vec<u8>,
}

/// A public key on P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    x: String,
    y: String,
}

impl Key {
    /// RFC 7638 section 3: the members that matter, in their order, without a space.
    pub(super) fn thumbprint(&self) -> String {
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, self.x, self.y);
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }

    /// SEC 1 section 2.3.3: the point, uncompressed.
    pub(super) fn point(&self) -> Result<Vec<u8>, Problem> {
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            let octets = decode(coordinate)?;
            if octets.len() != 32 {
                return Err(malformed("a coordinate has not 32 octets"));
            }
            point.extend_from_slice(&octets);
        }
        Ok(point)
    }
}

impl Jws {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body: Value =
            serde_json::from_slice(body).map_err(|_not| malformed("the content is not JSON"))?;
        let members = body.as_object().ok_or_else(|| malformed("the content is not an object"))?;
        if members.len() != 3 {
            return Err(malformed("a request has protected, payload and signature, and nothing else"));
        }
        let text = |name: &str| {
            members.get(name).and_then(Value::as_str).ok_or_else(|| malformed("a member is missing"))
        };
        let (protected, payload) = (text("protected")?, text("payload")?);
        let header: Value = serde_json::from_slice(&decode(protected)?)
            .map_err(|_not| malformed("the header is not JSON"))?;
        if header["alg"] != "ES256" {
            return Err(Problem::new(400, "badSignatureAlgorithm", "ES256 is the one algorithm here"));
        }
        if header.get("jwk").is_some() == header.get("kid").is_some() {
            return Err(malformed("either jwk or kid"));
        }
        Ok(Self {
            signed: format!("{protected}.{payload}"),
            signature: decode(text("signature")?)?,
            payload: decode(payload)?,
            protected: header,
        })
    }

    /// The key in the header, for who has no account yet.
    pub(super) fn jwk(&self) -> Result<Option<Key>, Problem> {
        let Some(jwk) = self.protected.get("jwk") else { return Ok(None) };
        if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return Err(Problem::new(400, "badPublicKey", "a key is on P-256 here"));
        }
        let text = |name: &str| jwk[name].as_str().map(str::to_owned).ok_or_else(|| malformed("half a key"));
        Ok(Some(Key { x: text("x")?, y: text("y")? }))
    }

    /// Number of the account that `kid` names.
    pub(super) fn account(&self, origin: &str) -> Result<usize, Problem> {
        let number = self.protected["kid"]
            .as_str()
            .and_then(|kid| kid.strip_prefix(origin)?.strip_prefix("/account/")?.parse().ok());
        number.ok_or_else(|| malformed("kid is no account of ours"))
    }

    pub(super) fn nonce(&self) -> Result<&str, Problem> {
        self.protected["nonce"].as_str().ok_or_else(|| malformed("no nonce"))
    }

    pub(super) fn url(&self) -> Result<&str, Problem> {
        self.protected["url"].as_str().ok_or_else(|| malformed("no url"))
    }

    pub(super) fn verify(&self, key: &Key) -> Result<(), Problem> {
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point()?);
        public
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_not| malformed("the signature does not belong to this request and key"))
    }

    /// The payload of a request that says something.
    pub(super) fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.payload).map_err(|_not| malformed("the payload is not JSON"))
    }

    /// Whether it only asks (RFC 8555 section 6.3, POST-as-GET): no payload at all.
    pub(super) const fn only_asks(&self) -> bool {
        self.payload.is_empty()
    }
}

/// base64url without padding; anything else is refused (RFC 8555 section 6.1).
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_not| malformed("not base64url without padding"))
}

pub(super) fn malformed(detail: &str) -> Problem {
    Problem::new(400, "malformed", detail)
}
