//! Who is connected with whom, as the client's side tells it and as the endpoint is told: PROXY protocol in and out.
//!
//! Not here: reading and writing the bytes (`wire/proxy_protocol`), whose headers are believed (`stream_plan.rs`).

use super::terminate::TlsFacts;
use crate::dice::Dice;
use crate::stream_plan::{Additions, ProxyOut};
use shoalway_net::stream::Stream;
use shoalway_wire::proxy_protocol::tlv::{Ssl, SslField, Tlv};
use shoalway_wire::proxy_protocol::{Checksum, Endpoints, Header, Transport, encode_v1, encode_v2};
use std::net::SocketAddr;

/// The two ends of a client's connection, and what a believed header said of it. No `Debug`: addresses are sensitive.
pub(super) struct Origin {
    /// The client.
    pub(super) client: SocketAddr,
    /// What it connected to, where that is known without asking the system.
    destination: Option<SocketAddr>,
    authority: Option<Box<str>>,
    unique_id: Option<Box<[u8]>>,
    /// What was agreed in TLS that has ended here.
    pub(super) tls: Option<TlsFacts>,
}

impl Origin {
    /// As the socket has it.
    pub(super) const fn real(peer: SocketAddr) -> Self {
        Self { client: peer, destination: None, authority: None, unique_id: None, tls: None }
    }

    /// As a header tells it; one that speaks for its sender, or cannot tell, means the real connection.
    pub(super) fn told(header: &Header<'_>, real: &Self) -> Self {
        let mut origin = Self {
            client: header.endpoints.client().unwrap_or(real.client),
            destination: header.endpoints.destination(),
            authority: None,
            unique_id: None,
            tls: None,
        };
        for addition in header.tlvs.iter() {
            match addition {
                Tlv::Authority(name) => origin.authority = Some(name.into()),
                Tlv::UniqueId(id) => origin.unique_id = Some(id.into()),
                Tlv::Alpn(_)
                | Tlv::Crc32c(_)
                | Tlv::Noop(_)
                | Tlv::Ssl(_)
                | Tlv::Netns(_)
                | Tlv::Other { .. } => {}
            }
        }
        origin
    }

    /// The header for an endpoint; empty when there is to be none. `name` is that of the hello.
    pub(super) fn header(&self, out: ProxyOut, client: &Stream, name: Option<&str>, dice: &Dice) -> Vec<u8> {
        let mut header = Vec::new();
        match out {
            ProxyOut::Off => {}
            ProxyOut::V1 => encode_v1(&self.endpoints(client), &mut header),
            ProxyOut::V2(additions) => self.binary(additions, client, name, dice, &mut header),
        }
        header
    }

    fn binary(
        &self,
        additions: Additions,
        client: &Stream,
        name: Option<&str>,
        dice: &Dice,
        out: &mut Vec<u8>,
    ) {
        let fresh = format!("{:016x}{:016x}", dice.roll(), dice.roll());
        let id = self.unique_id.as_deref().unwrap_or(fresh.as_bytes());
        let name = name.or(self.authority.as_deref()).map(Tlv::Authority);
        let name = name.filter(|_| additions.authority);
        let id = additions.unique_id.then_some(Tlv::UniqueId(id));
        let tls = self.tls.as_ref().filter(|_| additions.tls);
        let alpn = tls.and_then(|tls| tls.alpn.as_deref()).map(Tlv::Alpn);
        let mut ssl = Vec::new();
        if let Some(tls) = tls {
            tls_told(tls, &mut ssl);
        }
        // Composed here, so it can be read; if it could not, it would be left out.
        let ssl = Ssl::read(&ssl).ok().map(Tlv::Ssl);
        let tlvs: Vec<Tlv<'_>> = alpn.into_iter().chain(name).chain(ssl).chain(id).collect();
        let checksum = if additions.checksum { Checksum::Crc32c } else { Checksum::Without };
        let endpoints = self.endpoints(client);
        // A name has at most 255 bytes in a header that was read, an id 128: both fit. If they did not, the addresses do.
        if let Err(error) =
            encode_v2(&endpoints, &tlvs, checksum, out).or_else(|_| encode_v2(&endpoints, &[], checksum, out))
        {
            tracing::debug!(%error, "a PROXY header could not be written");
        }
    }

    /// The two ends.
    fn endpoints(&self, client: &Stream) -> Endpoints<'static> {
        let asked = || client.socket().and_then(|socket| socket.local_addr().ok());
        match self.destination.or_else(asked) {
            Some(destination) => Endpoints::between(Transport::Stream, self.client, destination),
            None => Endpoints::Unknown,
        }
    }
}

/// The value of the SSL addition, section 2.2.6. A client certificate that was asked for was found good, or there would be no
/// connection.
fn tls_told(tls: &TlsFacts, out: &mut Vec<u8>) {
    let shown = match (tls.certificate, tls.resumed) {
        (false, _) => 0,
        (true, false) => Ssl::CERTIFICATE | Ssl::CERTIFICATE_IN_SESSION,
        (true, true) => Ssl::CERTIFICATE_IN_SESSION,
    };
    let fields = [SslField::Version(&tls.version), SslField::Cipher(&tls.cipher)];
    Ssl::compose(Ssl::TLS | shown, 0, &fields, out);
}
