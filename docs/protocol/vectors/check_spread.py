"""Reads the vectors of ovl1 section 11 - units and the choice of their exits - and computes each again.

It shares no code with the first implementation. `check.py` calls `CHECKS[kind](case)` for each case; a case that
differs raises AssertionError.
"""

import fractions
import hashlib
import hmac
import math
import struct

unhex = bytes.fromhex
SPREADS = ("site", "host", "connection", "request")


def counted(data):
    return struct.pack(">H", len(data)) + data


def unit_of(unit, affinity):
    domain = unit["registered_domain"]
    assert unit["host"] == domain or unit["host"].endswith("." + domain), "the domain of a host"
    groups = [line.split() for line in affinity.splitlines()]
    group = next((group[0] for group in groups if domain in group), domain)
    number = SPREADS.index(unit["spread"])
    key = [counted(group.encode()), counted(unit["host"].encode()), struct.pack(">Q", unit["serial"])][min(number, 2)]
    isolation = (unit["listener"].encode(), unhex(unit["user"]), unhex(unit["password"]))
    text = b"ovl1 unit\0" + b"".join(map(counted, isolation)) + bytes([number]) + key
    return hashlib.sha256(text).digest()


def score(secret, unit, exit_node, weight):
    """-ln(u)/weight with u from the first 53 bits of the MAC, half a step above them."""
    tag = hmac.digest(secret, b"ovl1 spread\0" + unit + exit_node, hashlib.sha256)
    u = ((int.from_bytes(tag[:8], "big") >> 11) + 0.5) / 2**53
    return -math.log(u) / weight


def spread(case):
    secret, held = unhex(case["secret"]), {}
    weights = {unhex(one["exit"]): one["weight"] for one in case["exits"]}
    assert len(weights) == 4 and len(case["units"]) == 5, "5 units over 4 exits"
    for unit in case["units"]:
        name = unit_of(unit, case["affinity"])
        assert name.hex() == unit["unit"], f"unit {name.hex()}"
        ranked = sorted(weights, key=lambda one: score(secret, name, one, weights[one]))
        assert [one.hex() for one in ranked[:2]] == [unit["hashed"], unit["hashed_without_it"]], "hashing"
        total, number = sum(map(fractions.Fraction, weights.values())), sum(held.values()) + 1
        room = [one for one in ranked if held.get(one, 0) < math.ceil(number * fractions.Fraction(weights[one]) / total)]
        assert room[0].hex() == unit["pinned"], "the first with room"
        held[room[0]] = held.get(room[0], 0) + 1


CHECKS = {"spread": spread}
