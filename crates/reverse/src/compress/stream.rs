//! Coding of content that comes piece by piece: gzip, br and zstd at levels that keep up with a network.
//!
//! What an encoder takes of memory is booked with its shard first; where there is no more of it, content leaves as it is.
//! Windows are as small as what is known of the length allows. Not here: which answers are coded (`passing.rs`).

use super::Coding;
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;
use shoalway_http::filter::{BodyFilter, FilterFailed};
use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

/// Levels for content on its way. On the machine of docs/benchmarks.md each codes more than 50 MB of text a second, so a
/// slice of 16 KiB takes a third of a millisecond.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// 256 KiB: more than most answers have.
const WIDEST: u32 = 18;
const NARROWEST: u32 = 12;
/// Memory for the encoders of one shard.
const ROOM: usize = 64 << 20;

/// What the encoders of a shard hold.
#[derive(Default)]
pub(crate) struct Room(Cell<usize>);

/// A part of the room, given back when dropped.
struct Booked {
    room: Rc<Room>,
    octets: usize,
}

impl Room {
    fn book(self: &Rc<Self>, octets: usize) -> Option<Booked> {
        let after = self.0.get() + octets;
        (after <= ROOM).then(|| {
            self.0.set(after);
            Booked { room: Rc::clone(self), octets }
        })
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        self.room.0.set(self.room.0.get() - self.octets);
    }
}

/// An encoder at work.
pub(super) struct Streaming {
    encoder: Encoder,
    _booked: Booked,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Ended,
}

impl Streaming {
    /// An encoder for content of this length, if that is known. `None` without room for it.
    pub(super) fn begin(coding: Coding, length: Option<u64>, room: &Rc<Room>) -> Option<Self> {
        let window = window(length);
        let booked = room.book(needs(coding, window))?;
        let encoder = match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: i32::try_from(window).unwrap_or_default(),
                    ..BrotliEncoderParams::default()
                };
                Encoder::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), 4 << 10, &params)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).ok()?;
                encoder.window_log(window).ok()?;
                Encoder::Zstd(encoder)
            }
        };
        Some(Self { encoder, _booked: booked })
    }
}

/// The logarithm of a window that is no wider than it need be.
fn window(length: Option<u64>) -> u32 {
    let wanted = length.map_or(WIDEST, |octets| octets.max(1).next_power_of_two().trailing_zeros());
    wanted.clamp(NARROWEST, WIDEST)
}

/// What an encoder takes of memory: resident pages of fifty of them with full windows, rounded up.
const fn needs(coding: Coding, window: u32) -> usize {
    match coding {
        Coding::Gzip => 448 << 10,
        Coding::Brotli => (1 << 20) + (10 << window),
        Coding::Zstd => (896 << 10) + (3 << window),
    }
}

impl BodyFilter for Streaming {
    fn take(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        let taken = match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.write_all(content).map(|()| out.append(encoder.get_mut())),
            Encoder::Brotli(encoder) => encoder.write_all(content).map(|()| out.append(encoder.get_mut())),
            Encoder::Zstd(encoder) => encoder.write_all(content).map(|()| out.append(encoder.get_mut())),
            Encoder::Ended => return Err(FilterFailed),
        };
        taken.map_err(|_failed| FilterFailed)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        let flushed = match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.flush().map(|()| out.append(encoder.get_mut())),
            Encoder::Brotli(encoder) => encoder.flush().map(|()| out.append(encoder.get_mut())),
            Encoder::Zstd(encoder) => encoder.flush().map(|()| out.append(encoder.get_mut())),
            Encoder::Ended => return Err(FilterFailed),
        };
        flushed.map_err(|_failed| FilterFailed)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed> {
        let rest = match std::mem::replace(&mut self.encoder, Encoder::Ended) {
            Encoder::Gzip(encoder) => encoder.finish(),
            // Into a vector: it cannot fail.
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Ended => return Err(FilterFailed),
        };
        out.append(&mut rest.map_err(|_failed| FilterFailed)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain),
            Coding::Brotli => brotli::Decompressor::new(coded, 4_096).read_to_end(&mut plain),
            Coding::Zstd => zstd::stream::read::Decoder::new(coded).unwrap().read_to_end(&mut plain),
        };
        // What is not whole is an error to most decoders; what they had read by then counts here.
        let _whole = read.is_ok();
        plain
    }

    fn begin(coding: Coding, length: Option<u64>) -> Streaming {
        Streaming::begin(coding, length, &Rc::default()).unwrap()
    }

    fn text(length: usize) -> Vec<u8> {
        (0_u32..)
            .flat_map(|n| format!("line {} of many\n", n * 7_919 % 1_000).into_bytes())
            .take(length)
            .collect()
    }

    #[test]
    fn pieces_are_the_same_text_again_whatever_is_known_of_its_length() {
        let text = text(700_000);
        for coding in Coding::ALL {
            for length in [None, Some(700_000), Some(1), Some(u64::MAX >> 1)] {
                let (mut streaming, mut coded) = (begin(coding, length), Vec::new());
                for piece in text.chunks(10_007) {
                    streaming.take(piece, &mut coded).unwrap();
                }
                streaming.finish(&mut coded).unwrap();
                assert!(coded.len() < text.len() / 3, "{coding:?} {}", coded.len());
                assert!(decoded(coding, &coded) == text, "{coding:?} {length:?}");
                assert_eq!(streaming.take(b"more", &mut coded), Err(FilterFailed));
            }
        }
    }

    #[test]
    fn what_was_flushed_can_be_read_before_the_end() {
        for coding in Coding::ALL {
            let (mut streaming, mut coded, mut sent) = (begin(coding, None), Vec::new(), Vec::new());
            for event in 0..5 {
                let event = format!("data: {event}\n\n");
                streaming.take(event.as_bytes(), &mut coded).unwrap();
                streaming.flush(&mut coded).unwrap();
                sent.extend_from_slice(event.as_bytes());
                assert_eq!(decoded(coding, &coded), sent, "{coding:?}");
            }
        }
    }

    #[test]
    fn an_encoder_books_its_memory_and_gives_it_back() {
        let room = Rc::<Room>::default();
        let most = ROOM / needs(Coding::Brotli, WIDEST);
        let mut all: Vec<_> = (0..most).map(|_| room.book(needs(Coding::Brotli, WIDEST)).unwrap()).collect();
        assert!(Streaming::begin(Coding::Brotli, None, &room).is_none());
        all.pop();
        let streaming = Streaming::begin(Coding::Brotli, None, &room).unwrap();
        assert!(Streaming::begin(Coding::Brotli, None, &room).is_none());
        drop((all, streaming));
        assert_eq!(room.0.get(), 0);
    }

    #[test]
    fn windows_fit_what_is_known() {
        for (length, log) in
            [(None, 18), (Some(0), 12), (Some(5_000), 13), (Some(8_192), 13), (Some(1 << 40), 18)]
        {
            assert_eq!(window(length), log, "{length:?}");
        }
        assert_eq!(window(Some(u64::MAX >> 1)), 18);
    }
}
