#!/usr/bin/env python3
"""JA4 of the TLS records in each file named, by Python's own hashlib: the origin of the expected values in the tests.

Follows https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md, for TLS over TCP.
"""
import hashlib
import sys


def u16s(data):
    return [int.from_bytes(data[at:at + 2], "big") for at in range(0, len(data), 2)]


def grease(value):
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def take(data, at, width):
    """The vector at `at` whose length takes `width` bytes, and where the next thing stands."""
    length = int.from_bytes(data[at:at + width], "big")
    return data[at + width:at + width + length], at + width + length


def message(records):
    joined, at = b"", 0
    while at < len(records):
        fragment, at = take(records, at + 3, 2)
        joined += fragment
    return joined[4:4 + int.from_bytes(joined[1:4], "big")]


def ja4(records):
    hello = message(records)
    _, at = take(hello, 34, 1)
    ciphers, at = take(hello, at, 2)
    _, at = take(hello, at, 1)
    block, _ = take(hello, at, 2)
    extensions, at = [], 0
    while at < len(block):
        kind = int.from_bytes(block[at:at + 2], "big")
        value, at = take(block, at + 2, 2)
        if not grease(kind):
            extensions.append((kind, value))
    known = dict(extensions)

    version = int.from_bytes(hello[:2], "big")
    if 0x2B in known:
        version = max(v for v in u16s(known[0x2B][1:]) if not grease(v))
    version = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3"}.get(version, "00")
    ciphers = [c for c in u16s(ciphers) if not grease(c)]
    alpn = "00"
    if 0x10 in known:
        first, _ = take(known[0x10], 2, 1)
        alpn = chr(first[0]) + chr(first[-1])
        if not alpn.isalnum() or not alpn.isascii():
            alpn = first.hex()[0] + first.hex()[-1]
    signatures = [s for s in u16s(known.get(0x0D, b"")[2:]) if not grease(s)]

    def listed(values):
        return ",".join(f"{value:04x}" for value in values)

    kinds = listed(sorted(kind for kind, _ in extensions if kind not in (0x00, 0x10)))
    if signatures and kinds:
        kinds += "_" + listed(signatures)
    a = f"t{version}{'d' if 0 in known else 'i'}{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{alpn}"

    def short(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12

    return f"{a}_{short(listed(sorted(ciphers)))}_{short(kinds)}"


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        print(name, ja4(file.read()))
