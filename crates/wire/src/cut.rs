//! For tests only: feeds one input to a state machine whole, cut in two at every point, and one byte at a time.

use bytes::BytesMut;

/// What a machine did with what it was given: its steps (other than "read more") as text, and the bytes it left.
pub(crate) type Transcript = (Vec<String>, Vec<u8>);

/// Runs `machine`, made anew by `make` each time, over every cut of `input`; all transcripts must be equal.
/// A machine is a function from the buffer to its next step, or `None` when it wants more bytes or has ended.
pub(crate) fn same_at_every_cut<M>(input: &[u8], make: impl Fn() -> M) -> Transcript
where
    M: FnMut(&mut BytesMut) -> Option<String>,
{
    let whole = run(&[input], make());
    for at in 0..=input.len() {
        let (start, end) = input.split_at(at);
        assert_eq!(run(&[start, end], make()), whole, "cut at {at} of {input:?}");
    }
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&single, make()), whole, "one byte at a time, {input:?}");
    whole
}

fn run<M>(pieces: &[&[u8]], mut machine: M) -> Transcript
where
    M: FnMut(&mut BytesMut) -> Option<String>,
{
    let mut buf = BytesMut::new();
    let mut steps = Vec::new();
    // Asked before anything has arrived, too: a client speaks first, also to a peer that never says a word.
    for piece in std::iter::once(&&[][..]).chain(pieces) {
        buf.extend_from_slice(piece);
        while let Some(step) = machine(&mut buf) {
            steps.push(step);
        }
    }
    (steps, buf.to_vec())
}
