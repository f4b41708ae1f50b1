//! The 96 bytes inside an opener (ovl1 section 4).
//!
//! ```text
//! verMin u8 | verMax u8 | kind u8 | 0 u8 | time u32 | session b[16] | resumeMac b[16] | received u64
//! | tokenType u8 | token b[32] | 0 b[15]
//! ```
//! What a kind or binding has no use for is zero. Not here: how they are sealed (`opener`).

use zeroize::{Zeroize, Zeroizing};

use super::secrets::{ResumeClaim, resume_mac};
use super::{Binding, CLOCK_TOLERANCE, ENC, LinkKind, OpenerAsk, Purpose, Refused, SessionId, VERSION};
use crate::UnixTime;
use crate::codec::{Malformed, Reader};
use crate::kdf::Secret;

/// What goes into an opener.
pub(super) struct Plain<'a> {
    kind: LinkKind,
    time: u32,
    session: SessionId,
    resume: Option<([u8; 16], u64)>,
    token: Option<&'a Secret>,
}

impl<'a> Plain<'a> {
    pub(super) const LENGTH: usize = 96;

    pub(super) fn of(ask: &OpenerAsk<'a>, binding: &Binding, bind: &[u8; 33], enc: &[u8; ENC]) -> Self {
        let time = match binding {
            Binding::Exporter(_) => 0,
            Binding::Front => u32::try_from(ask.time.0).unwrap_or(u32::MAX),
        };
        let resume = match ask.purpose {
            Purpose::Resume { key, received } => Some((resume_mac(key, bind, enc, received), received)),
            Purpose::New | Purpose::Node => None,
        };
        Self { kind: ask.purpose.kind(), time, session: ask.session, resume, token: ask.token }
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LENGTH));
        let (resume_mac, received) = self.resume.unwrap_or_default();
        bytes.extend([VERSION, VERSION, kind_number(self.kind), 0]);
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.session.0);
        bytes.extend(resume_mac);
        bytes.extend(received.to_be_bytes());
        bytes.push(u8::from(self.token.is_some()));
        bytes.extend(self.token.map_or(&[0; 32], Secret::bytes));
        bytes.resize(Self::LENGTH, 0);
        bytes
    }
}

const fn kind_number(kind: LinkKind) -> u8 {
    match kind {
        LinkKind::New => 0,
        LinkKind::Resume => 1,
        LinkKind::Node => 2,
    }
}

/// What an opener that opened asks for.
#[derive(Debug)]
pub struct Asked {
    /// The version to speak: the highest that both know.
    pub version: u8,
    /// The session; for [`LinkKind::New`] it must be unused.
    pub session: SessionId,
    /// A bearer token.
    pub token: Option<Secret>,
    /// What a resumption claims; there is one exactly for [`LinkKind::Resume`].
    pub resume: Option<ResumeClaim>,
    kind: LinkKind,
    time: Option<u32>,
}

impl Asked {
    /// What the link is for.
    #[must_use]
    pub const fn kind(&self) -> LinkKind {
        self.kind
    }

    /// Whether the client's clock agrees, and it spoke after this process started. With [`Binding::Exporter`] no time
    /// was sent and none is looked at. Behind a front the set of known openers is asked too.
    ///
    /// # Errors
    /// More than [`CLOCK_TOLERANCE`] off, or before the start.
    pub const fn check_time(&self, now: UnixTime, started: UnixTime) -> Result<(), Refused> {
        let Some(time) = self.time else { return Ok(()) };
        let time = time as u64;
        if time < started.0 || time.abs_diff(now.0) > CLOCK_TOLERANCE { Err(Refused) } else { Ok(()) }
    }

    pub(super) fn decode(
        plain: &[u8],
        binding: &Binding,
        bind: &[u8; 33],
        enc: &[u8; ENC],
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(plain);
        let version = read_version(&mut reader)?;
        let kind = read_kind(&mut reader)?;
        reader.zeros(1, "reserved")?;
        let time = read_time(&mut reader, binding)?;
        let session = SessionId(reader.array("session")?);
        let (mac, received) = (reader.array::<16>("resume mac")?, reader.u64("received")?);
        let resume = match kind {
            LinkKind::Resume => Some(ResumeClaim { mac, received, bind: *bind, enc: *enc }),
            LinkKind::New | LinkKind::Node if (mac, received) == ([0; 16], 0) => None,
            LinkKind::New | LinkKind::Node => return Err(Malformed("resume mac")),
        };
        let token = read_token(&mut reader)?;
        reader.zeros(15, "padding")?;
        reader.finish()?;
        Ok(Self { version, session, token, resume, kind, time })
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let (least, most) = (reader.u8("least version")?, reader.u8("most version")?);
    if least <= VERSION && VERSION <= most { Ok(VERSION) } else { Err(Malformed("version")) }
}

fn read_kind(reader: &mut Reader<'_>) -> Result<LinkKind, Malformed> {
    match reader.u8("kind")? {
        0 => Ok(LinkKind::New),
        1 => Ok(LinkKind::Resume),
        2 => Ok(LinkKind::Node),
        _unknown => Err(Malformed("kind")),
    }
}

fn read_time(reader: &mut Reader<'_>, binding: &Binding) -> Result<Option<u32>, Malformed> {
    let time = reader.u32("time")?;
    match binding {
        Binding::Front => Ok(Some(time)),
        Binding::Exporter(_) if time == 0 => Ok(None),
        Binding::Exporter(_) => Err(Malformed("time")),
    }
}

fn read_token(reader: &mut Reader<'_>) -> Result<Option<Secret>, Malformed> {
    let kind = reader.u8("token type")?;
    let mut token = reader.array::<32>("token")?;
    match kind {
        0 if token == [0; 32] => Ok(None),
        1 => Ok(Some(Secret::take(&mut token))),
        _unknown => {
            token.zeroize();
            Err(Malformed("token type"))
        }
    }
}
