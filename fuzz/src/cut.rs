//! Gives a state machine the same bytes in many portions.

use bytes::BytesMut;

/// What a machine says when it is asked for its next step.
pub enum Said {
    /// A step, as text.
    Step(String),
    /// It wants more bytes.
    Read,
    /// It is at its end; the text says which.
    End(String),
}

/// Longest input worth trying; every message of the handshakes is shorter.
const MOST: usize = 2_048;

/// Runs machines made by `make` over `input`: whole, cut in two at up to 64 places, and one byte at a time. All must
/// say the same and leave the same, and what is left must be the input's own end.
///
/// # Panics
/// When they do not, or when a machine goes on for ever.
pub fn same_at_every_cut<M: FnMut(&mut BytesMut) -> Said>(input: &[u8], make: impl Fn() -> M) {
    let input = input.get(..MOST).unwrap_or(input);
    let (said, left) = run(&[input], make());
    assert!(input.ends_with(&left), "what is left is not the end of the input");
    for at in (0..=input.len()).step_by(input.len() / 64 + 1) {
        let (start, end) = input.split_at(at);
        assert_eq!(run(&[start, end], make()), (said.clone(), left.clone()), "cut at {at}");
    }
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&single, make()), (said, left), "one byte at a time");
}

fn run<M: FnMut(&mut BytesMut) -> Said>(pieces: &[&[u8]], mut machine: M) -> (Vec<String>, Vec<u8>) {
    let mut buf = BytesMut::new();
    let mut steps = Vec::new();
    let mut over = false;
    // Asked before anything has arrived, too: a client speaks first, also to a peer that never says a word.
    for piece in std::iter::once(&&[][..]).chain(pieces) {
        buf.extend_from_slice(piece);
        while !over {
            assert!(steps.len() < 10, "a handshake has fewer steps: {steps:?}");
            match machine(&mut buf) {
                Said::Step(step) => steps.push(step),
                Said::Read => break,
                Said::End(step) => {
                    steps.push(step);
                    over = true;
                }
            }
        }
    }
    (steps, buf.to_vec())
}
