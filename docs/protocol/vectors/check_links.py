"""Reads the vectors of ovl1 sections 4, 6, 7.1 and 9 - openers, ACCEPT, resumption, CREATE, CREATED, layers, records -
and computes each again from the secrets in it: opens what is sealed, and seals it again to the same bytes.

It shares no code with the first implementation. `check.py` calls `CHECKS[kind](case)` for each case; a case that
differs raises AssertionError.
"""

import base64
import hashlib
import hmac
import struct

from Crypto.Cipher import AES, ChaCha20, ChaCha20_Poly1305
from hpke import CH, LH, Context, derive_x25519, dhkem_shared, expand
from hybrid import XWing, x25519, xwing_encapsulate

unhex = bytes.fromhex


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.digest(key, b"".join(parts), hashlib.sha256)


def x(secret, label, length):
    return expand(secret, b"ovl1 " + label, length)


def same(found, expected, what):
    assert found == expected, f"{what}: {found!r} instead of {expected!r}"


def refused(opening, sealed):
    """Nothing that was changed or cut opens."""
    changes = [sealed[:-1], sealed + b"\0", sealed[1:], b""]
    changes += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(0, len(sealed), 7)]
    for changed in changes:
        try:
            opening(changed)
        except (ValueError, AssertionError):
            continue
        raise AssertionError("something that was changed opened")


# --- 4: openers ---


def open_opener(case):
    """(context, the three parts, plaintext) of an opener, as its server opens it."""
    raw = base64.urlsafe_b64decode(case["opener"] + "==")
    same((len(case["opener"]), len(raw)), (214, 160), "length of an opener")
    enc, gate, sealed = raw[:32], raw[32:48], raw[48:]
    bind, key, secret = (unhex(case[name]) for name in ("bind", "gate_key", "link_secret"))
    same(mac(key, b"ovl1 gate\0", bind, enc)[:16], gate, "gate")
    info = b"ovl1 link\0" + unhex(case["network"]) + unhex(case["node"])
    shared = dhkem_shared(secret, enc, enc, x25519(secret))
    context = Context(LH, shared, info, psk=key, psk_id=b"ovl1 gate")
    return context, (enc, gate, sealed), context.open(sealed, bind)


def plain_of(case, enc):
    token, resume = case["token"], case["resume"]
    claim = bytes(24)
    if resume:
        received = struct.pack(">Q", resume["received"])
        claim = mac(unhex(resume["key"]), b"ovl1 resume\0", unhex(case["bind"]), enc, received)[:16] + received
    head = struct.pack(">BBBBI", case["version"], case["version"], case["opener_kind"], 0, case["time"])
    return head + unhex(case["session"]) + claim + bytes([bool(token)]) + unhex(token or "00" * 32) + bytes(15)


def opener(case):
    context, (enc, gate, sealed), plain = open_opener(case)
    same(plain.hex(), plain_of(case, enc).hex(), "plaintext of an opener")
    bind, key, public = (unhex(case[name]) for name in ("bind", "gate_key", "link_key"))
    same(x25519(unhex(case["link_secret"])), public, "link key")
    ephemeral = derive_x25519(unhex(case["enc_randomness"]))
    same(x25519(ephemeral), enc, "ephemeral key")
    info = b"ovl1 link\0" + unhex(case["network"]) + unhex(case["node"])
    sender = Context(LH, dhkem_shared(ephemeral, public, enc, public), info, psk=key, psk_id=b"ovl1 gate")
    again = enc + gate + sender.seal(plain, bind)
    same(base64.urlsafe_b64encode(again).decode().rstrip("="), case["opener"], "opener sealed again")
    refused(lambda changed: context.open(changed, bind), sealed)
    for label, value in case["exports"].items():
        same(context.export(label.encode()).hex(), value, label)
    first = case["accept_first_of_link"]
    for direction in ("c2s", "s2c"):
        export = context.export(b"ovl1 link " + direction.encode())
        same(open_link(export, unhex(first[direction])), unhex(first["stream"]), "link bytes")


def accept(case):
    context, _parts, _plain = open_opener(case)
    head = bytes([case["version"], case["resumed"]])
    numbers = ("max_circuits", "hop_window", "session_ttl", "received")
    tail = struct.pack(">HIHQ", *(case[name] for name in numbers))
    proof = mac(context.export(b"ovl1 accept"), b"ovl1 accept\0", head, tail)
    same((head + proof + tail).hex(), case["accept"], "ACCEPT")
    signed = b"ovl1 node\0" + unhex(case["bind"]) + context.export(b"ovl1 node")
    same(signed.hex(), case["node_auth_bytes"], "what NODE_AUTH signs")


def resume(case):
    key, bind, enc = (unhex(case[name]) for name in ("resume", "bind", "enc"))
    claim = mac(key, b"ovl1 resume\0", bind, enc, struct.pack(">Q", case["received"]))
    same(claim[:16].hex(), case["resume_mac"], "resumeMac")


# --- 6: circuits ---


def open_create(network, node, key, body):
    """(context, plaintext) of a CREATE, as the hop with this key opens it."""
    same(body[:4], sha256(b"ovl1 kem\0", key.public)[:4], "id of the key")
    info = b"ovl1 create\0" + network + node + body[:4]
    context = Context(CH, key.decapsulate(body[4:1124]), info)
    return context, context.open(body[1124:])


def create(case):
    network, expected = unhex(case["network"]), None
    lengths = {2: (3912, 2740), 3: (5084, 3912, 2740)}[len(case["hops"])]
    for hop, length in zip(case["hops"], lengths):
        body, node, key = unhex(hop["create"]), unhex(hop["node"]), XWing(unhex(hop["seed"]))
        same((body[:4].hex(), len(body)), (hop["id"], length), "id and length")
        assert expected in (None, (node, body)), "a hop gets what the one before it found"
        context, plain = open_create(network, node, key, body)
        refused(context.open, body[1124:])
        shared, enc = xwing_encapsulate(key.public, unhex(hop["encapsulation_randomness"]))
        info = b"ovl1 create\0" + network + node + body[:4]
        same((body[:4] + enc + Context(CH, shared, info).seal(plain)).hex(), hop["create"], "CREATE sealed again")
        expected = {"relay": create_relay, "exit": create_exit}[hop["role"]](hop, context, plain, len(lengths))
    assert expected is None, "a path ends at an exit"


def create_relay(hop, context, plain, hops):
    layered, following, inner = hops == 3, unhex(hop["next"]), unhex(hop["inner"])
    same(plain, bytes([0, layered, 0, 0]) + following + bytes(8) + inner, "plaintext of a relay")
    layer = {way: context.export(b"ovl1 layer " + way.encode()).hex() for way in ("c2x", "x2c")}
    same(layer if layered else None, hop["layer"], "layer")
    return following, inner


def create_exit(hop, _context, plain, _hops):
    token = unhex(hop["token"])
    fields = bytes([1, hop["suites"], 0, 0]) + XWing(unhex(hop["eph_seed"])).public
    fields += struct.pack(">H", len(token)) + token
    same(plain, fields + bytes(1600 - len(fields)), "plaintext of an exit")


def created(case):
    network, exit_node, body = (unhex(case[name]) for name in ("network", "exit", "create_at_exit"))
    inner, _plain = open_create(network, exit_node, XWing(unhex(case["exit_seed"])), body)
    psk = inner.export(b"ovl1 created psk")
    info = b"ovl1 created\0" + network + exit_node + sha256(body)
    eph, answer = XWing(unhex(case["eph_seed"])), unhex(case["created"])
    same(len(answer), 1200, "length of CREATED")
    arrived = unhex(case["created_with_layers"])
    for key in case["layers_x2c"]:
        arrived = chacha20(unhex(key), 0, arrived)
    same(arrived, answer, "CREATED without its layers")
    context = Context(CH, eph.decapsulate(answer[:1120]), info, psk=psk, psk_id=b"ovl1 created")
    plain = context.open(answer[1120:])
    refused(context.open, answer[1120:])
    numbers = ("suite", "version", "max_streams", "stream_window", "circuit_window", "idle", "life", "dir_number")
    fields = struct.pack(">BBHIIHHQ", *(case[name] for name in numbers))
    same(plain, fields + unhex(case["dir_hash"]) + bytes(8), "plaintext of CREATED")
    shared, enc = xwing_encapsulate(eph.public, unhex(case["encapsulation_randomness"]))
    sender = Context(CH, shared, info, psk=psk, psk_id=b"ovl1 created")
    same((enc + sender.seal(plain)).hex(), case["created"], "CREATED sealed again")
    same(context.export(b"ovl1 c2x").hex(), case["sc"], "Sc")
    same(context.export(b"ovl1 x2c").hex(), case["sx"], "Sx")


def chacha20(key, number, body):
    return ChaCha20.new(key=key, nonce=bytes(4) + struct.pack(">Q", number)).encrypt(body)


def layer(case):
    for frame in case["frames"]:
        layered = chacha20(unhex(case["key"]), frame["n"], unhex(frame["body"]))
        same(layered.hex(), frame["layered"], f"layer of frame {frame['n']}")


# --- 7.1: records ---


def cipher(suite, secret, counter):
    key, iv = x(secret, b"key", 32), x(secret, b"iv", 12)
    nonce = bytes(a ^ b for a, b in zip(iv, bytes(4) + struct.pack(">Q", counter)))
    if suite == 1:
        return AES.new(key, AES.MODE_GCM, nonce=nonce)
    assert suite == 2, "a suite that ovl1 has"
    return ChaCha20_Poly1305.new(key=key, nonce=nonce)


def open_record(suite, secret, counter, record):
    return cipher(suite, secret, counter).decrypt_and_verify(record[:-16], record[-16:])


def open_link(secret, wire):
    stream, counter = b"", 0
    while wire:
        length = int.from_bytes(wire[:2], "big")
        stream += open_record(2, secret, counter, wire[2 : 2 + length])
        wire, counter = wire[2 + length :], counter + 1
    return stream


def records(case):
    suite, secret = case["suite"], unhex(case["secret"])
    if case["direction"] == "link":
        return same(open_link(secret, unhex(case["wire"])), unhex(case["stream"]), "link bytes")
    secrets = [secret, x(secret, b"next", 32)]
    seen = [(record["rekeys"], record["counter"]) for record in case["records"]]
    same(seen, [(0, 0), (0, 1), (0, 65535), (1, 0)], "records")
    for item in case["records"]:
        at, counter, frames = secrets[item["rekeys"]], item["counter"], unhex(item["frames"])
        sealed = unhex(item["record"])
        same(open_record(suite, at, counter, sealed), frames, "record opened")
        same(b"".join(cipher(suite, at, counter).encrypt_and_digest(frames)), sealed, "record sealed")
        refused(lambda changed: open_record(suite, at, counter, changed), sealed)
    same(case["records"][2]["frames"], "07000000000000", "record 65535 is a KEYUP")


CHECKS = {
    "opener": opener,
    "accept": accept,
    "resume": resume,
    "create": create,
    "created": created,
    "layer": layer,
    "records": records,
}
