//! A stream to the directory of the exit (atyp 5, section 7.2): DIR_GET bodies one way, `len u16` and DIR_DATA bodies the
//! other. One question at a time.

use super::terms::CircuitFault;
use crate::link::dir::{DirGet, DirKind, Question};
use bytes::{BufMut, Bytes, BytesMut};

/// What an end of the stream remembers.
#[derive(Debug)]
pub(super) enum Directory {
    /// The client: the question under way, and the beginning of a part.
    Asks(Option<Question>, Vec<u8>),
    /// The exit: the beginning of a question, and the answer under way.
    Answers(Vec<u8>, Option<Answer>),
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Answer {
    kind: DirKind,
    /// What is left; nothing while the driver has not answered.
    rest: Option<Bytes>,
}

/// What came out of bytes of such a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    Asked(DirGet),
    Answered(Bytes),
}

impl Directory {
    pub(super) const fn asks() -> Self {
        Self::Asks(None, Vec::new())
    }

    pub(super) const fn answers() -> Self {
        Self::Answers(Vec::new(), None)
    }

    /// Remembers a question; `false` when one is under way.
    pub(super) fn ask(&mut self, get: DirGet) -> bool {
        match self {
            Self::Asks(question @ None, _) => {
                *question = Some(Question::new(get.kind));
                true
            }
            Self::Asks(Some(_), _) | Self::Answers(..) => false,
        }
    }

    /// Takes bytes from the front of `bytes`, up to the next thing that happened.
    pub(super) fn receive(&mut self, bytes: &mut Bytes) -> Result<Outcome, CircuitFault> {
        match self {
            Self::Asks(question, part) => receive_part(question, part, bytes),
            Self::Answers(input, answer) => {
                if answer.is_some() && !bytes.is_empty() {
                    return Err(CircuitFault::Order("DIR_GET during another"));
                }
                input.extend_from_slice(&bytes.split_to(bytes.len().min(DirGet::LENGTH - input.len())));
                if input.len() < DirGet::LENGTH {
                    return Ok(Outcome::Nothing);
                }
                let get = DirGet::decode(input).map_err(|error| CircuitFault::Malformed(error.0))?;
                input.clear();
                *answer = Some(Answer { kind: get.kind, rest: None });
                Ok(Outcome::Asked(get))
            }
        }
    }

    /// The answer to the question; `false` when there is none.
    pub(super) fn answer(&mut self, body: Bytes) -> bool {
        match self {
            Self::Answers(_, Some(answer)) if answer.rest.is_none() => {
                answer.rest = Some(body);
                true
            }
            Self::Answers(..) | Self::Asks(..) => false,
        }
    }

    /// The next part of the answer, in two pieces: what stands before its bytes, and these.
    pub(super) fn next_part(&mut self) -> Option<(Bytes, Bytes)> {
        let Self::Answers(_, answer) = self else { return None };
        let Answer { kind, rest } = answer.as_mut()?;
        let rest = rest.as_mut()?;
        let part = rest.split_to(rest.len().min(MAX_PART));
        let last = rest.is_empty();
        let mut head = BytesMut::with_capacity(4);
        head.put_u16(u16::try_from(2 + part.len()).unwrap_or(u16::MAX));
        head.put_u8(*kind as u8);
        head.put_u8(u8::from(last));
        if last {
            *answer = None;
        }
        Some((head.freeze(), part))
    }
}

fn receive_part(
    question: &mut Option<Question>,
    part: &mut Vec<u8>,
    bytes: &mut Bytes,
) -> Result<Outcome, CircuitFault> {
    if bytes.is_empty() {
        return Ok(Outcome::Nothing);
    }
    let Some(asked) = question.as_mut() else { return Err(CircuitFault::Order("DIR_DATA without DIR_GET")) };
    part.extend_from_slice(&bytes.split_to(bytes.len().min(2_usize.saturating_sub(part.len()))));
    let Some(length) = part.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length))) else {
        return Ok(Outcome::Nothing);
    };
    if !(2..=MAX_PART + 2).contains(&length) {
        return Err(CircuitFault::Malformed("length of DIR_DATA"));
    }
    part.extend_from_slice(&bytes.split_to(bytes.len().min(2 + length - part.len())));
    if part.len() < 2 + length {
        return Ok(Outcome::Nothing);
    }
    let [_, _, kind, last, body @ ..] = &part[..] else { return Err(CircuitFault::Malformed("DIR_DATA")) };
    if DirKind::from_u8(*kind) != Some(asked.kind) {
        return Err(CircuitFault::Malformed("kind of DIR_DATA"));
    }
    let last = asked.take(*last, body).map_err(|error| CircuitFault::Malformed(error.0))?;
    part.clear();
    let answered = if last { question.take().and_then(Question::into_body) } else { None };
    Ok(answered.map_or(Outcome::Nothing, Outcome::Answered))
}

/// The most bytes of an answer in one part: a body of DIR_DATA is that of a link's frame.
const MAX_PART: usize = crate::link::frame::MAX_BODY - 2;
