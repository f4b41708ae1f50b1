//! The sections about certificates of sites: `[acme]`, and `acme` and `tls` of a site.
//!
//! The doc comments here are the text of `config schema` and `config explain`. Not here: whether a value makes sense
//! (`check/certificates`), ordering itself (`cert`).

use super::{At, Many};
use crate::cert::LETS_ENCRYPT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How certificates are had by themselves, for all sites with `acme`; a site may say otherwise for itself.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeSection {
    /// Address the authority may write to, such as `ops@example.org`. Without this key it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<At<String>>,
    /// URL of the authority's directory. Whoever uses an authority agrees to its terms of service.
    pub directory: At<String>,
    /// Whether the first order of each name is rehearsed at the staging directory, so that mistakes cost nothing of the
    /// authority's limits. What the staging directory issues is never shown to anybody.
    pub staging: At<bool>,
    /// URL of the staging directory. Without this key that of Let's Encrypt where `directory` is theirs, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging_directory: Option<At<String>>,
    /// Certificates (PEM) that the authority's own server is trusted by, for one of your own. Without this key those that
    /// this computer trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<At<String>>,
    /// How names are proven, the best first: `http-01` (the authority asks a plain site on port 80) and `tls-alpn-01` (it
    /// asks the site itself on port 443). Without this key the ways for which there are such ports. Write it when a router
    /// or container leads those ports to others here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenges: Option<Many>,
    /// Directory for certificates, keys and accounts, made for this user alone. Without this key
    /// `$STATE_DIRECTORY/certs`, for root `/var/lib/shoalway/certs`, else `$XDG_STATE_HOME/shoalway/certs`
    /// (`~/.local/state` without the variable).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<At<String>>,
}

impl Default for AcmeSection {
    fn default() -> Self {
        Self {
            email: None,
            directory: At::default_of(LETS_ENCRYPT),
            staging: At::default_of(true),
            staging_directory: None,
            ca: None,
            challenges: None,
            storage: None,
        }
    }
}

/// Certificates of one site by themselves. `acme = true` is enough; what is not set here is as in [acme]. Names below
/// `.internal`, `.localhost` and `.home.arpa` are certified by an authority of this machine, see `shoalway ca show`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("type" = ["boolean", "object"]))]
pub struct SiteAcmeSection {
    /// Whether the site's certificate is ordered, proven and renewed by itself; the site then speaks TLS. `acme = true` and
    /// `acme = false` are short for a table with this key alone.
    pub on: At<bool>,
    /// Address the authority may write to. Without this key `acme.email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<At<String>>,
    /// URL of the authority's directory. Without this key `acme.directory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<At<String>>,
    /// Whether the first order is rehearsed at the staging directory. Without this key `acme.staging`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<At<bool>>,
    /// URL of the staging directory. Without this key `acme.staging_directory`, unless `directory` is set here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging_directory: Option<At<String>>,
    /// Certificates (PEM) that the authority's own server is trusted by. Without this key `acme.ca`, unless `directory` is
    /// set here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<At<String>>,
    /// How the name is proven: `http-01`, `tls-alpn-01`. Without this key `acme.challenges`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenges: Option<Many>,
}

impl Default for SiteAcmeSection {
    fn default() -> Self {
        Self {
            on: At::default_of(true),
            email: None,
            directory: None,
            staging: None,
            staging_directory: None,
            ca: None,
            challenges: None,
        }
    }
}

/// TLS of a site. All files are relative to the file that names them.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteTlsSection {
    /// Certificate chain (PEM), the site's own certificate first. Required, unless the site has `acme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<At<String>>,
    /// Private key (PEM) of the certificate, readable by its owner alone. Required together with `cert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
    /// What the authority says of the certificate's validity (an OCSP answer, DER), sent along with it. One that has
    /// expired or is for another certificate is not sent. Read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<At<String>>,
    /// Certificates (PEM) of the authorities whose client certificates are accepted. With it, clients must show one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<At<String>>,
}

/// TLS of a stream, which ends here: the upstream gets what is inside. All files are relative to the file that names them, and
/// read again when they change.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamTlsSection {
    /// Certificate chain (PEM), the stream's own certificate first. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<At<String>>,
    /// Private key (PEM) of the certificate, readable by its owner alone. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
    /// Certificates (PEM) of the authorities whose client certificates are accepted. With it, clients must show one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<At<String>>,
    /// What the upstream speaks, the best first, for clients that ask (ALPN), such as `h2` or `imap`. Clients that speak none
    /// of it are refused. Without this key nothing is agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<Many>,
}
