//! TLS 1.3 full handshake, one request, close; the next one at once on the same place.
//!
//! Nothing is resumed: each connection forgets its tickets. One suite and one group are offered, so that every proxy
//! does the same cryptography. The certificate is not judged: that is the client's work, and not what is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::event::epoll::EventFlags;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use super::{FAILURES, GRACE, Plan};
use crate::outcome::Outcome;
use crate::reactor::Reactor;
use crate::wire::get_reply;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let (request, body) = plan.request();
    let mut handshakes = Handshakes {
        plan,
        request,
        body,
        config: Arc::new(config()?),
        name: ServerName::try_from(plan.host.clone()).context("--host wants a name")?,
        reactor: Reactor::new()?,
        outcome: Outcome::default(),
        issued: 0,
    };
    let mut places: Vec<Option<Secured>> = Vec::new();
    for token in 0..plan.workers as u64 {
        places.push(handshakes.next(token));
    }
    let mut ready = Vec::with_capacity(256);
    while places.iter().any(Option::is_some) && Instant::now() < plan.until + GRACE {
        handshakes.reactor.wait(plan.until + GRACE, &mut ready)?;
        for token in ready.iter().copied() {
            let Some(place) = usize::try_from(token).ok().and_then(|slot| places.get_mut(slot)) else {
                continue;
            };
            handshakes.attend(place, token);
        }
    }
    for _ in places.iter().flatten() {
        handshakes.outcome.fail("no answer in time");
    }
    handshakes.outcome.bytes = handshakes.outcome.done * body;
    Ok(handshakes.outcome)
}

struct Handshakes<'a> {
    plan: &'a Plan,
    request: Vec<u8>,
    body: u64,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    reactor: Reactor,
    outcome: Outcome,
    issued: u64,
}

/// One connection from its first byte to its last.
struct Secured {
    stream: TcpStream,
    tls: ClientConnection,
    asked: bool,
    answer: Vec<u8>,
}

impl Handshakes<'_> {
    fn attend(&mut self, place: &mut Option<Secured>, token: u64) {
        let Some(secured) = place.as_mut() else { return };
        match secured.advance(&self.request, self.body) {
            Ok(false) => return,
            Ok(true) => self.outcome.done += 1,
            Err(error) => self.outcome.fail(format_args!("{error:#}")),
        }
        // Closed first: the events of the next one must not be taken for this one's.
        *place = None;
        *place = self.next(token);
    }

    fn next(&mut self, token: u64) -> Option<Secured> {
        while self.issued < self.plan.count
            && Instant::now() < self.plan.until
            && self.outcome.failed < FAILURES
        {
            self.issued += 1;
            match self.start(token) {
                Ok(secured) => return Some(secured),
                Err(error) => self.outcome.fail(format_args!("{error:#}")),
            }
        }
        None
    }

    fn start(&self, token: u64) -> anyhow::Result<Secured> {
        let stream = self.plan.sources.connect(self.plan.proxy)?;
        stream.set_nonblocking(true)?;
        self.reactor.add(&stream, token, EventFlags::IN)?;
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        let mut secured = Secured { stream, tls, asked: false, answer: Vec::new() };
        secured.flush()?;
        Ok(secured)
    }
}

impl Secured {
    /// Takes what has come. True when the answer is complete and right; the end is then announced.
    fn advance(&mut self, request: &[u8], body: u64) -> anyhow::Result<bool> {
        match self.tls.read_tls(&mut self.stream) {
            Ok(0) => bail!("closed {}", if self.asked { "before the answer" } else { "in the handshake" }),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("receive"),
        }
        let state = self.tls.process_new_packets().context("TLS")?;
        let mut scratch = vec![0; state.plaintext_bytes_to_read()];
        self.tls.reader().read_exact(&mut scratch)?;
        self.answer.extend_from_slice(&scratch);
        if !self.tls.is_handshaking() && !self.asked {
            ensure!(self.tls.handshake_kind() == Some(rustls::HandshakeKind::Full), "not a full handshake");
            self.tls.writer().write_all(request)?;
            self.asked = true;
        }
        let complete = get_reply(&self.answer, body)?.is_some();
        if complete {
            self.tls.send_close_notify();
        }
        self.flush()?;
        Ok(complete)
    }

    /// Sends what TLS has to say: a few hundred bytes, for which a socket always has room.
    fn flush(&mut self) -> anyhow::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream).context("send")?;
        }
        Ok(())
    }
}

fn config() -> anyhow::Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unjudged))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes every certificate and signature: loopback only, and the answer itself is checked.
#[derive(Debug)]
struct Unjudged;

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
