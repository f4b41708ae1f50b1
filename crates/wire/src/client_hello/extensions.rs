//! The extensions of a hello that say something here: SNI (RFC 6066 section 3), ALPN (RFC 7301 section 3.1),
//! `supported_versions` and `signature_algorithms` (RFC 8446 sections 4.2.1 and 4.2.3), and that
//! `encrypted_client_hello` is there (RFC 9849). Not here: values of the others, which are only counted and named.

use super::Error;
use super::vector::{U8, U16, u16s};
use shoalway_types::{DomainName, Host};

pub(super) const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const ALPN: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// The only type of name there is.
const HOST_NAME: u8 = 0;

/// What the extensions say.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) types: Vec<u16>,
    pub(super) sni: Option<DomainName>,
    pub(super) alpn: Vec<Box<[u8]>>,
    pub(super) supported_versions: Vec<u16>,
    pub(super) signature_algorithms: Vec<u16>,
    pub(super) encrypted_client_hello: bool,
}

impl Extensions {
    /// Reads what stands behind the compression methods: nothing (before TLS 1.3), or one vector and no more.
    pub(super) fn read(rest: &[u8]) -> Result<Self, Error> {
        let mut read = Self::default();
        if rest.is_empty() {
            return Ok(read);
        }
        let (mut block, behind) = U16.split(rest).ok_or(Error::Cut)?;
        if !behind.is_empty() {
            return Err(Error::Trailing);
        }
        while !block.is_empty() {
            let Some((&kind, rest)) = block.split_first_chunk() else { return Err(Error::Cut) };
            let (value, rest) = U16.split(rest).ok_or(Error::Cut)?;
            read.take(u16::from_be_bytes(kind), value)?;
            block = rest;
        }
        read.check()?;
        Ok(read)
    }

    fn take(&mut self, kind: u16, value: &[u8]) -> Result<(), Error> {
        self.types.push(kind);
        match kind {
            SERVER_NAME => self.sni = server_name(value)?,
            ALPN => self.alpn = protocols(value).ok_or(Error::Alpn)?,
            SUPPORTED_VERSIONS => {
                self.supported_versions = U8.only(value).and_then(u16s).ok_or(Error::SupportedVersions)?;
            }
            SIGNATURE_ALGORITHMS => {
                self.signature_algorithms =
                    U16.only(value).and_then(u16s).ok_or(Error::SignatureAlgorithms)?;
            }
            ENCRYPTED_CLIENT_HELLO => self.encrypted_client_hello = true,
            _ => {}
        }
        Ok(())
    }

    /// RFC 8446 section 4.2: none is there twice; section 4.2.11: `pre_shared_key` is the last.
    fn check(&self) -> Result<(), Error> {
        let mut sorted = self.types.clone();
        sorted.sort_unstable();
        if let Some(&[twice, _]) = sorted.array_windows().find(|[one, next]| one == next) {
            return Err(Error::ExtensionTwice(twice));
        }
        match self.types.iter().position(|kind| *kind == PRE_SHARED_KEY) {
            Some(at) if at + 1 != self.types.len() => Err(Error::PreSharedKey),
            Some(_) | None => Ok(()),
        }
    }
}

/// The host name in the list. Names of other types have a length as well (RFC 6066 section 3) and are passed over.
fn server_name(value: &[u8]) -> Result<Option<DomainName>, Error> {
    let mut list = U16.only(value).ok_or(Error::Sni)?;
    let mut host = None;
    while let [kind, rest @ ..] = list {
        let (name, rest) = U16.split(rest).ok_or(Error::Sni)?;
        if *kind == HOST_NAME {
            if host.is_some() {
                return Err(Error::SniTwice);
            }
            host = Some(host_name(name)?);
        }
        list = rest;
    }
    Ok(host)
}

/// "The hostname is represented as a byte string using ASCII encoding without a trailing dot", and is no address.
fn host_name(name: &[u8]) -> Result<DomainName, Error> {
    let text = str::from_utf8(name).ok().ok_or(Error::SniName)?;
    if text.ends_with('.') {
        return Err(Error::SniTrailingDot);
    }
    match Host::parse(text) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Ip(_)) => Err(Error::SniAddress),
        Err(_) => Err(Error::SniName),
    }
}

fn protocols(value: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut list = U16.only(value)?;
    let mut names = Vec::new();
    while !list.is_empty() {
        let (name, rest) = U8.split(list)?;
        if name.is_empty() {
            return None;
        }
        names.push(name.into());
        list = rest;
    }
    Some(names)
}
