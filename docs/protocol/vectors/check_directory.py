"""Reads the vectors of ovl1 sections 2 and 3 and computes every outcome again, from the text of the specification.

A second implementation: it shares no code with the first and needs nothing but Python 3.11. `check.py` calls
`CHECKS[kind](case)` for each case, and a case that differs raises AssertionError. Alone: `python check_directory.py [FOLDER]`.
"""

import base64
import hashlib
import ipaddress
import json
import pathlib
import re
import struct
import sys
import tomllib

from primitives import G, address_of, edwards_point, keccak, multiply, public_key, recover, signed_by

MINUTE, HOUR, DAY = 60, 3600, 86400

class Refused(Exception):
    """What is not taken; the first argument is the word for it."""

def refuse_if(condition, word):
    if condition:
        raise Refused(word)

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# --- bytes ---

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        refuse_if(count > len(self.data) - self.at, "malformed")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width):
        return int.from_bytes(self.take(width), "big")

    def vector(self, width, most):
        length = self.number(width)
        refuse_if(length > most, "malformed")
        return self.take(length)

    def rest(self):
        return self.data[self.at :]

    def finish(self):
        refuse_if(self.at != len(self.data), "malformed")

def malformed_unless(condition):
    refuse_if(not condition, "malformed")

# --- 2.1 delegations ---

def read_delegation(reader):
    d = {"start": reader.at, "node": reader.take(20), "key": reader.take(32), "roles": reader.number(2)}
    d["not_before"], d["not_after"], d["serial"] = (reader.number(8) for _ in range(3))
    d["signature"] = reader.take(65)
    malformed_unless(d["roles"] < 16)
    d["withdrawal"] = d["roles"] == 0 and d["key"] == bytes(32)
    return d

def parse_delegation(data):
    reader = Reader(data)
    delegation = read_delegation(reader)
    reader.finish()
    return delegation

def digest_of(d, network):
    def word(number):
        return number.to_bytes(32, "big")

    domain = keccak(
        keccak(b"EIP712Domain(string name,string version,bytes32 salt)"),
        keccak(b"Shoalway Node"),
        keccak(b"1"),
        network,
    )
    kind = b"Delegation(address node,bytes32 nodeKey,uint16 roles,uint64 notBefore,uint64 notAfter,uint64 serial)"
    numbers = [word(d[name]) for name in ("roles", "not_before", "not_after", "serial")]
    message = keccak(keccak(kind), bytes(12), d["node"], d["key"], *numbers)
    return keccak(b"\x19\x01", domain, message)

def check_delegation(d, network, now):
    if not d["withdrawal"]:
        refuse_if(d["roles"] == 0 or d["key"] == bytes(32), "half")
        refuse_if(d["not_after"] < d["not_before"], "backwards")
        refuse_if(d["not_after"] - d["not_before"] > 30 * DAY, "too-long")
    signer = recover(digest_of(d, network), d["signature"])
    refuse_if(signer is None, "signature")
    refuse_if(signer != d["node"], "signer")
    if not d["withdrawal"]:
        refuse_if(now + 10 * MINUTE < d["not_before"], "not-yet")
        refuse_if(now > d["not_after"] + 10 * MINUTE, "expired")

# --- 2.2 descriptors ---

def read_endpoint(reader):
    kind = reader.number(1)
    malformed_unless(kind in (4, 6))
    ip = ipaddress.ip_address(reader.take(4 if kind == 4 else 16))
    port, name = reader.number(2), reader.vector(1, 253)
    path, cookie, binding = reader.vector(1, 120), reader.vector(1, 32), reader.number(1)
    label = rb"(?!-)[a-z0-9-]{1,63}(?<!-)"
    malformed_unless(kind == 4 or ip.ipv4_mapped is None)
    malformed_unless(port > 0 and re.fullmatch(rb"(%s\.)*%s" % (label, label), name))
    malformed_unless(not re.fullmatch(rb"[0-9]+|0x.*", name.split(b".")[-1]))
    malformed_unless(re.fullmatch(rb"/[A-Za-z0-9/._~%:@!$&'()*+,;=-]*", path))
    malformed_unless(re.fullmatch(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+", cookie) and binding in (1, 2))
    return ip

def is_public(ip):
    if ip.version == 4:
        closed = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24"
        closed += " 192.168.0.0/16 198.18.0.0/15 224.0.0.0/3"
    else:
        closed = "::/3 4000::/2 8000::/1 2001::/32 2002::/16"
    return not any(ip in ipaddress.ip_network(net) for net in closed.split())

def parse_descriptor(data):
    malformed_unless(64 <= len(data) <= 4096)
    reader = Reader(data[:-64])
    malformed_unless(reader.take(4) == b"OVD1")
    d = {"network": reader.take(32), "node": reader.take(20), "seq": reader.number(8)}
    d["published"], d["expires"] = reader.number(8), reader.number(8)
    malformed_unless(reader.number(2) & 1 and reader.number(2) == 0)
    count = reader.number(1)
    malformed_unless(count in (1, 2))
    d["kems"] = []
    for _ in range(count):
        kem_id, begins, ends, key = reader.take(4), reader.number(8), reader.number(8), reader.take(1216)
        malformed_unless(ends == begins + 60 * HOUR and kem_id == sha256(b"ovl1 kem\0", key)[:4])
        d["kems"].append((begins, kem_id))
    reader.take(64)
    malformed_unless(reader.take(20) != bytes(20))
    family = reader.number(1)
    malformed_unless(family <= 16)
    reader.take(20 * family)
    malformed_unless(re.fullmatch(rb"[A-Z]{2}", reader.take(2)))
    reader.take(8)
    endpoints = reader.number(1)
    malformed_unless(endpoints <= 4)
    d["places"] = [read_endpoint(reader) for _ in range(endpoints)]
    rules = reader.number(1)
    malformed_unless(rules <= 32)
    d["policy"] = [(reader.number(1), reader.number(2), reader.number(2)) for _ in range(rules)]
    malformed_unless(all(allow < 2 and low <= high for allow, low, high in d["policy"]))
    reader.finish()
    refuse_if(len({kem_id for _, kem_id in d["kems"]}) < count, "same-kem-id")
    refuse_if(not 0 <= d["expires"] - d["published"] <= 30 * HOUR, "lifetime")
    return d

def check_descriptor(data, delegation, network, lab, now):
    d = parse_descriptor(data)
    refuse_if(d["network"] != network, "network")
    refuse_if(d["node"] != delegation["node"], "node")
    refuse_if(delegation["withdrawal"], "withdrawn")
    refuse_if(not signed_by(delegation["key"], b"ovl1 descriptor", data[:-64], data[-64:]), "signature")
    refuse_if(d["expires"] > delegation["not_after"], "outlives")
    refuse_if(not lab and not all(is_public(ip) for ip in d["places"]), "endpoint")
    refuse_if(d["published"] > now + 10 * MINUTE, "not-yet")
    refuse_if(now > d["expires"], "expired")
    return d

def chosen_kem(d, now):
    usable = [kem for kem in d["kems"] if kem[0] <= now <= kem[0] + 60 * HOUR]
    return max(usable)[1].hex() if usable else None

def allows(d, port):
    return next((bool(allow) for allow, low, high in d["policy"] if low <= port <= high), False)

# --- 3.1 network files ---

LINE = "# --- signatures ---\n"

def is_hex_key(text):
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text)

def parse_terms(text):
    known = {"ovl": int, "version": int, "previous": str, "name": str, "k": int, "keys": list, "mirrors": list, "lab": bool}
    try:
        terms = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused("toml") from error
    terms = {"mirrors": [], "lab": False, "previous": None} | terms
    wrong = any(name not in known for name in terms)
    wrong = wrong or any(terms.get(name) is not None and type(terms[name]) is not known[name] for name in known)
    refuse_if(wrong or any(terms.get(name) is None for name in ("ovl", "version", "name", "k", "keys")), "toml")
    keys, k, version = terms["keys"], terms["k"], terms["version"]
    fine = terms["ovl"] == 1 and 0 < version < 2**32 and (terms["previous"] is None) == (version == 1)
    fine = fine and (version == 1 or is_hex_key(terms["previous"])) and 0 < len(terms["name"].encode()) <= 64
    fine = fine and 1 <= len(keys) <= 32 and all(map(is_hex_key, keys)) and len(set(keys)) == len(keys)
    fine = fine and all(edwards_point(bytes.fromhex(key)) for key in keys) and len(keys) // 2 < k <= len(keys)
    fine = fine and len(terms["mirrors"]) <= 16
    fine = fine and all(re.fullmatch("https://[!-~]*", m) and len(m) <= 256 for m in terms["mirrors"])
    refuse_if(not fine, "value")
    return terms

def parse_network_file(whole):
    refuse_if(len(whole.encode()) > 32768, "too-long")
    found = re.search("^" + LINE, whole, re.MULTILINE)
    refuse_if(found is None, "no-signatures-line")
    text, lines = whole[: found.start()], whole[found.end() :]
    terms = parse_terms(text)
    signed, signatures = b"ovl1 network\0" + text.encode(), []
    for line in lines.splitlines(keepends=True):
        match = re.fullmatch("(p?)(0|[1-9][0-9]?):([0-9a-f]{128})\n", line)
        refuse_if(match is None or int(match[2]) > 31, "signature-line")
        signatures.append((match[1], int(match[2]), bytes.fromhex(match[3])))
        refuse_if(sorted(set(s[:2] for s in signatures)) != [s[:2] for s in signatures], "signature-line")
    file = {"terms": terms, "text": text, "hash": sha256(signed), "signatures": signatures}
    own = 0
    for former, index, signature in signatures:
        refuse_if(former and terms["version"] == 1, "signature")
        if not former:
            refuse_if(not signed_by_index(terms, index, text, signature), "signature")
            own += 1
    refuse_if(own < terms["k"], "quorum")
    return file

def signed_by_index(terms, index, text, signature):
    keys = terms["keys"]
    return index < len(keys) and signed_by(bytes.fromhex(keys[index]), b"ovl1 network", text.encode(), signature)

def follow(texts):
    files = []
    for text in texts:
        file = parse_network_file(text)
        terms = file["terms"]
        refuse_if(terms["version"] != len(files) + 1, "version")
        if files:
            before = files[-1]["terms"]
            refuse_if(terms["previous"] != files[-1]["hash"].hex(), "previous")
            refuse_if(terms["lab"] != before["lab"], "lab")
            counted = 0
            for former, index, signature in file["signatures"]:
                if former:
                    there = index < len(before["keys"]) and before["keys"][index] not in terms["keys"]
                    fine = there and signed_by_index(before, index, file["text"], signature)
                    refuse_if(not fine, "signature")
                counted += 1 if former else terms["keys"][index] in before["keys"]
            refuse_if(counted < before["k"], "former-quorum")
        files.append(file)
    return files

# --- 3.2 snapshots ---

def read_header(reader):
    start = reader.at
    malformed_unless(reader.take(4) == b"OVS1")
    h = {"network": reader.take(32), "number": reader.number(8), "prev": reader.take(32)}
    h["published"], h["valid"] = reader.number(8), reader.number(8)
    h["version"], h["nodes"], h["body"] = reader.number(4), reader.number(4), reader.take(32)
    malformed_unless(h["number"] > 0 and (h["number"] == 1) == (h["prev"] == bytes(32)) and h["nodes"] <= 2048)
    h["bytes"] = reader.data[start : reader.at]
    h["hash"] = sha256(b"ovl1 snapshot\0", h["bytes"])
    count = reader.number(1)
    malformed_unless(count <= 32)
    h["signatures"] = [(reader.number(1), reader.take(64)) for _ in range(count)]
    keys = [key for key, _ in h["signatures"]]
    malformed_unless(keys == sorted(set(keys)))
    return h

def parse_header(data):
    reader = Reader(data)
    header = read_header(reader)
    reader.finish()
    return header

def check_header(h, files):
    refuse_if(h["network"] != files[0]["hash"], "network")
    refuse_if(not 1 <= h["version"] <= len(files), "version")
    terms = files[h["version"] - 1]["terms"]
    refuse_if(h["valid"] != h["published"] + 36 * HOUR, "lifetime")
    for index, signature in h["signatures"]:
        key = bytes.fromhex(terms["keys"][index]) if index < len(terms["keys"]) else None
        refuse_if(key is None or not signed_by(key, b"ovl1 snapshot", h["bytes"], signature), "signature")
    refuse_if(len(h["signatures"]) < terms["k"], "quorum")

def check_affinity(text):
    seen = set()
    for line in text.split("\n"):
        for domain in filter(None, line.split(" ")):
            labels = all(re.fullmatch("[a-z0-9-]{1,63}", label) for label in domain.split("."))
            refuse_if(not labels or len(domain) > 253 or domain in seen, "affinity")
            seen.add(domain)

def check_snapshot(data, files):
    malformed_unless(len(data) <= 8 << 20)
    reader = Reader(data)
    header = read_header(reader)
    check_header(header, files)
    refuse_if(sha256(reader.rest()) != header["body"], "body-hash")
    nodes = []
    for _ in range(header["nodes"]):
        delegation = read_delegation(reader)
        descriptor = reader.vector(2, 4096)
        refuse_if(nodes and nodes[-1] >= delegation["node"], "order")
        nodes.append(delegation["node"])
        try:
            check_delegation(delegation, header["network"], header["published"])
            refuse_if(delegation["withdrawal"] != (descriptor == b""), "descriptor")
            if descriptor:
                lab = files[0]["terms"]["lab"]
                check_descriptor(descriptor, delegation, header["network"], lab, header["published"])
        except Refused as refused:
            raise Refused("node") from refused
    count = reader.number(4)
    malformed_unless(count <= 8192)
    members = []
    for _ in range(count):
        members.append(reader.take(20))
        refuse_if(len(members) > 1 and members[-2] >= members[-1], "order")
    affinity = reader.vector(4, 256 << 10)
    reader.finish()
    try:
        check_affinity(affinity.decode())
    except UnicodeDecodeError as error:
        raise Refused("malformed") from error
    return header, nodes, members

# --- 3.2 chains and forks ---

class Forked(Exception):
    """The header that was known, and the one that contradicts it."""

def walk(known, headers, files):
    """Goes along headers from those known; gives the new ones."""
    new = []
    for h in headers:
        try:
            check_header(h, files)
        except Refused as refused:
            raise Refused("refused header") from refused
        same = [one for one in known + new if one["number"] == h["number"]]
        if same:
            if same[0]["bytes"] != h["bytes"]:
                raise Forked(same[0], h)
            continue
        last = (known + new)[-1] if known or new else None
        if last is not None:
            if h["number"] < last["number"]:
                continue
            refuse_if(h["number"] != last["number"] + 1, "refused gap")
            follows = h["prev"] == last["hash"] and h["published"] > last["published"]
            refuse_if(not follows or h["version"] < last["version"], "refused broken")
        new.append(h)
    return new

def accept(known, shown, headers, files, now):
    new = walk(known, [h for h in headers if h["number"] < shown["number"]] + [shown], files)
    newest = known[-1]["number"] if known else 0
    refuse_if(shown["number"] < newest, "refused older")
    if shown["number"] == newest:
        return "same", known
    refuse_if(shown["version"] < len(files), "refused old-version")
    refuse_if(shown["published"] > now + 10 * MINUTE, "refused future")
    return "accepted", (known + new)[-64:]

def compare(known, number, digest):
    same = [h for h in known if h["number"] == number]
    if same:
        return "known" if same[0]["hash"] == digest else "contradicts"
    return "ahead" if not known or number > known[-1]["number"] else "behind"

def judge(known, number, digest, headers, files):
    new = walk(known, [h for h in headers if h["number"] <= number], files)
    shown = new and new[-1]["number"] == number and new[-1]["hash"] == digest
    return "follows" if shown else "not-claimed"

def write_signed(h):
    signatures = b"".join(bytes([key]) + signature for key, signature in h["signatures"])
    return h["bytes"] + bytes([len(h["signatures"])]) + signatures

def with_length(data):
    return struct.pack(">H", len(data)) + data

def write_fork(one, other):
    return b"OVF1" + with_length(write_signed(one)) + with_length(write_signed(other))

def write_chain(network, known, fork):
    kept = b"".join(with_length(write_signed(h)) for h in known)
    return b"OVC1" + network + bytes([len(known)]) + kept + with_length(fork)

# --- 3.3 invitations ---

URL_CHARACTERS = "A-Za-z0-9_"

def unbase64(text):
    refuse_if(not re.fullmatch(f"[{URL_CHARACTERS}-]*", text) or len(text) % 4 == 1, "check")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    refuse_if(base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text, "check")
    return data

def parse_invite(link):
    link = link.strip()
    refuse_if(len(link) > 2000, "too-long")
    refuse_if(not link.startswith("shoalway://join#"), "scheme")
    version, dot, rest = link[len("shoalway://join#") :].partition(".")
    refuse_if(not dot, "cut")
    if version != "1":
        refuse_if(not re.fullmatch("[0-9]{1,5}", version), "cut")
        raise Refused("version")
    refuse_if(re.search(f"[^{URL_CHARACTERS}.-]", rest), "character")
    payload, dot, check = rest.partition(".")
    refuse_if(not dot, "cut")
    payload, check = unbase64(payload), unbase64(check)
    refuse_if(check != sha256(b"ovl1 invite\0", payload)[:3], "check")
    reader = Reader(payload)
    malformed_unless(reader.number(1) == 0)
    network, expires, count = reader.take(32), reader.number(8), reader.number(1)
    malformed_unless(1 <= count <= 8)
    entries, places = set(), []
    for _ in range(count):
        start = reader.at
        reader.take(84)
        places.append(read_endpoint(reader))
        entries.add(payload[start : reader.at])
    malformed_unless(len(entries) == count)
    reader.finish()
    return payload, expires, places

# --- what a case says, computed again ---

def unhex(text):
    return bytes.fromhex(text)

def outcome(compute, *arguments):
    try:
        return "ok", compute(*arguments)
    except Refused as refused:
        return refused.args[0], None

def same(found, wanted, case):
    assert found == wanted, f"{case['name']}: {found!r}, published is {wanted!r}"

def never_parses(data, parse, case):
    """Every cut and a byte more is refused."""
    for wrong in [data[:end] for end in range(len(data))] + [data + b"\0"]:
        word, _ = outcome(parse, wrong)
        assert word != "ok", f"{case['name']}: taken with {len(wrong)} of {len(data)} bytes"

def delegation(case):
    data, network = unhex(case["delegation"]), unhex(case["network"])

    def compute():
        parsed = parse_delegation(data)
        same(digest_of(parsed, network).hex(), case["digest"], case)
        check_delegation(parsed, network, case["now"])

    word, _ = outcome(compute)
    same(word, case["outcome"], case)
    if "wallet" in case:
        wallet = multiply(G, int(case["wallet"], 16))
        node_key = public_key(unhex(case["node_key_seed"]))
        same((address_of(wallet), node_key), (data[:20], data[20:52]), case)
        never_parses(data, parse_delegation, case)
        for bit in range(4, 16):
            roles = (int.from_bytes(data[52:54], "big") | 1 << bit).to_bytes(2, "big")
            same(outcome(parse_delegation, data[:52] + roles + data[54:])[0], "malformed", case)

def revocation(case):
    network, table = unhex(case["network"]), {}
    for step in case["steps"]:
        d, now = parse_delegation(unhex(step["delegation"])), step["now"]
        digest = digest_of(d, network)
        same(recover(digest, d["signature"]), d["node"], case)
        serial, known_digest, seen, disputed = table.get(d["node"], (-1, digest, now, False))
        if serial < d["serial"] or seen + 60 * DAY < now:
            serial, known_digest, disputed = d["serial"], digest, False
            seen = now
        word = "superseded"
        if serial == d["serial"]:
            seen, disputed = max(seen, now), disputed or known_digest != digest
            word = "disputed" if disputed else "ok"
        table[d["node"]] = (serial, known_digest, seen, disputed)
        same(word, step["outcome"], case)
        rows = b"".join(
            node + struct.pack(">Q", row[0]) + row[1] + struct.pack(">QB", row[2], row[3])
            for node, row in sorted(table.items())
        )
        same((b"OVR1" + network + struct.pack(">I", len(table)) + rows).hex(), step["table"], case)

def descriptor(case):
    data, shown = unhex(case["descriptor"]), parse_delegation(unhex(case["delegation"]))
    check_delegation(shown, unhex(case["network"]), shown["not_before"])
    word, d = outcome(check_descriptor, data, shown, unhex(case["network"]), case["lab"], case["now"])
    same(word, case["outcome"], case)
    if d is not None:
        same([[now, chosen_kem(d, now)] for now, _ in case["kem_at"]], case["kem_at"], case)
        same([[port, allows(d, port)] for port, _ in case["ports"]], case["ports"], case)
    if case["name"] == "right":
        never_parses(data, parse_descriptor, case)
        for bit in range(16):
            bent = bytearray(data)
            bent[82 + bit // 8] ^= 1 << bit % 8
            same(outcome(parse_descriptor, bytes(bent))[0], "malformed", case)

def network(case):
    word, files = outcome(follow, case["files"])
    same(word, case["outcome"], case)
    if files:
        same(files[0]["hash"].hex(), case["network"], case)
        same([file["hash"].hex() for file in files], case["hashes"], case)

def snapshot(case):
    files = follow(case["network_files"])
    {"file": snapshot_file, "chain": snapshot_chain, "claim": snapshot_claim}[case["check"]](case, files)

def snapshot_file(case, files):
    data = unhex(case["snapshot"])
    word, read = outcome(check_snapshot, data, files)
    same(word, case["outcome"], case)
    if read:
        header, nodes, members = read
        same((header["number"], header["hash"].hex()), (case["number"], case["hash"]), case)
        same([key for key, _ in header["signatures"]], case["signers"], case)
        same([node.hex() for node in nodes], case["nodes"], case)
        same([member.hex() for member in members], case["members"], case)

def snapshot_chain(case, files):
    known, headers = ([parse_header(unhex(h)) for h in case[name]] for name in ("known", "headers"))
    shown, fork = parse_header(unhex(case["next"])), b""
    try:
        word, known = accept(known, shown, headers, files, case["now"])
    except Refused as refused:
        word = refused.args[0]
    except Forked as forked:
        word, fork = "forked", write_fork(*forked.args)
        same(fork.hex(), case["fork"], case)
        keys = [{files[h["version"] - 1]["terms"]["keys"][key] for key, _ in h["signatures"]} for h in forked.args]
        same(keys[0] & keys[1], set(case["signers_of_both"]), case)
    same(word, case["outcome"], case)
    same(write_chain(files[0]["hash"], known, fork).hex(), case["state"], case)

def snapshot_claim(case, files):
    known, headers = ([parse_header(unhex(h)) for h in case[name]] for name in ("known", "headers"))
    number, digest = case["number"], unhex(case["hash"])
    same(compare(known, number, digest), case["compared"], case)
    try:
        word = judge(known, number, digest, headers, files)
    except Refused as refused:
        word = refused.args[0]
    except Forked:
        word = "forked"
    same(word, case["outcome"], case)

def invite(case):
    def compute():
        payload, expires, places = parse_invite(case["link"])
        refuse_if(case["now"] > expires, "expired")
        refuse_if(not case["lab"] and not all(map(is_public, places)), "endpoint")
        return payload

    word, payload = outcome(compute)
    same(word, case["outcome"], case)
    if payload:
        same(payload.hex(), case["payload"], case)
    if case["name"] == "right":
        never_parses(case["link"].encode(), lambda link: parse_invite(link.decode().replace("\0", "A")), case)

CHECKS = {
    "delegation": delegation,
    "revocation": revocation,
    "descriptor": descriptor,
    "network": network,
    "snapshot": snapshot,
    "invite": invite,
}

def check_all(folder):
    """Checks the files of these kinds that are there; gives how many cases each had."""
    counts = {}
    for kind, check in CHECKS.items():
        if not (folder / f"{kind}.json").exists():
            continue
        cases = json.loads((folder / f"{kind}.json").read_text())["cases"]
        assert cases, f"{kind}.json has no case"
        for case in cases:
            check(case)
        counts[kind] = len(cases)
    return counts

if __name__ == "__main__":
    assert keccak(b"").hex().startswith("c5d2460186f7233c"), "Keccak-256 of nothing"
    here = pathlib.Path(sys.argv[1] if sys.argv[1:] else __file__)
    for name, number in check_all(here if here.is_dir() else here.parent).items():
        sys.stdout.write(f"{name} {number}\n")
