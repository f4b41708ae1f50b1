//! Header compression: RFC 7541, by its sections.

use crate::frames::{field, head, string};
use crate::table::{COMPRESSION, Expect, run, sent};

/// `www.example.com` as RFC 7541 appendix C.4.1 has it.
const HUFFMAN: &[u8] = &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];

/// GET, http and `/` from the static table.
const SHORT: &[u8] = &[0x82, 0x86, 0x84];

fn with(more: &[u8]) -> Vec<u8> {
    head(1, &[SHORT, &field(":authority", "a.example"), more].concat())
}

#[test]
fn what_cannot_be_decoded() {
    let bad = Expect::Connection(COMPRESSION);
    run(vec![
        sent("2.3.3/1", "an index behind both tables", [with(&[0xc6])], bad),
        sent("2.3.3/2", "a literal whose name has such an index", [with(&[0x7f, 0x7f, 1, b'a'])], bad),
        sent("4.2/1", "a change of size behind fields", [with(&[0x20])], bad),
        sent("5.2/1", "padding of more than 7 bits", [with(&[0, 1, b'x', 0x82, 0x1f, 0xff])], bad),
        sent("5.2/2", "padding with zeros", [with(&[0, 1, b'x', 0x81, 0x18])], bad),
        sent(
            "5.2/3",
            "a code for the end of the string",
            [with(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff])],
            bad,
        ),
        sent("6.1/1", "index 0", [with(&[0x80])], bad),
        sent(
            "6.3/1",
            "a table larger than allowed",
            [head(1, &[&[0x3f, 0xe2, 0x1f][..], SHORT].concat())],
            bad,
        ),
        sent("5.1/1", "an integer without end", [with(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])], bad),
        sent("5.2/4", "a string longer than the block", [with(&[0, 1, b'x', 0x7f])], bad),
    ]);
}

#[test]
fn every_way_to_say_a_field() {
    let authority = string(b"a.example");
    let first = head(1, &[SHORT, &[0x41], &authority].concat());
    let literal = |how: u8| head(1, &[SHORT, &[0x01], &authority, &[how, 1, b'x', 1, b'y']].concat());
    let named = |how: &[u8]| head(1, &[SHORT, how, &authority].concat());
    let huffman = [SHORT, &[0x41, 0x80 | 12], HUFFMAN].concat();
    run(vec![
        sent("generic 5/1", "indexed, from the static table", [with(&[])], Expect::Answer(1)),
        sent(
            "generic 5/2",
            "indexed, from the dynamic table",
            [first, head(3, &[SHORT, &[0xbe]].concat())],
            Expect::Answer(3),
        ),
        sent("generic 5/3", "indexed later, known name", [named(&[0x41])], Expect::Answer(1)),
        sent("generic 5/4", "indexed later, compressed", [head(1, &huffman)], Expect::Answer(1)),
        sent("generic 5/5", "indexed later, new name", [literal(0x40)], Expect::Answer(1)),
        sent(
            "generic 5/6",
            "indexed later, new name compressed",
            [with(&[0x40, 0x82, 0xf2, 0x3f, 1, b'y'])],
            Expect::Answer(1),
        ),
        sent("generic 5/7", "not indexed, known name", [named(&[0x01])], Expect::Answer(1)),
        sent(
            "generic 5/8",
            "not indexed, compressed",
            [head(1, &[SHORT, &[0x01, 0x80 | 12], HUFFMAN].concat())],
            Expect::Answer(1),
        ),
        sent("generic 5/9", "not indexed, new name", [literal(0)], Expect::Answer(1)),
        sent(
            "generic 5/10",
            "not indexed, new name compressed",
            [with(&[0, 0x82, 0xf2, 0x3f, 1, b'y'])],
            Expect::Answer(1),
        ),
        sent("generic 5/11", "never indexed, known name", [named(&[0x11])], Expect::Answer(1)),
        sent(
            "generic 5/12",
            "never indexed, compressed",
            [head(1, &[SHORT, &[0x11, 0x80 | 12], HUFFMAN].concat())],
            Expect::Answer(1),
        ),
        sent("generic 5/13", "never indexed, new name", [literal(0x10)], Expect::Answer(1)),
        sent(
            "generic 5/14",
            "a change of the table's size",
            [head(1, &[&[0x20][..], SHORT, &[1], &authority].concat())],
            Expect::Answer(1),
        ),
        sent(
            "generic 5/15",
            "two changes of the table's size",
            [head(1, &[&[0x20, 0x3f, 0xe1, 0x1f][..], SHORT, &[1], &authority].concat())],
            Expect::Answer(1),
        ),
    ]);
}
