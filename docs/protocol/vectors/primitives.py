"""Keccak-256, secp256k1 and Ed25519 for the second reader of the vectors, written from their specifications.

Slow and not constant in time: it checks, and signs nothing.
"""

import hashlib
import struct

# --- Keccak-256, as Ethereum has it: padding 01, not the 06 of SHA-3 ---

ROUNDS = 24
MASK = (1 << 64) - 1


def round_constants():
    lfsr, constants = 1, []
    for _ in range(ROUNDS):
        constant = 0
        for j in range(7):
            if lfsr & 1:
                constant |= 1 << ((1 << j) - 1)
            lfsr = (lfsr << 1) ^ (0x171 if lfsr & 0x80 else 0)
        constants.append(constant)
    return constants


def rotate(word, count):
    count %= 64
    return ((word << count) | (word >> (64 - count))) & MASK


def keccak_f(lanes):
    for constant in round_constants():
        column = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mixed = [column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mixed[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], rotate(current, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5])
        lanes[0][0] ^= constant
    return lanes


def keccak(*parts):
    rate, data = 136, bytearray(b"".join(parts))
    data.append(1)
    data.extend(bytes(-len(data) % rate))
    data[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for block in range(0, len(data), rate):
        for i, (word,) in enumerate(struct.iter_unpack("<Q", data[block : block + rate])):
            lanes[i % 5][i // 5] ^= word
        lanes = keccak_f(lanes)
    return b"".join(struct.pack("<Q", lanes[i][0]) for i in range(4))


# --- secp256k1: who signed a digest (SEC 1, section 4.1.6) ---

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point, scalar):
    total = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def address_of(point):
    return keccak(point[0].to_bytes(32, "big"), point[1].to_bytes(32, "big"))[12:]


def recover(digest, signature):
    """The address of the signer; None when it is no signature, or not of the one permitted form."""
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28) or not 0 < r < N or not 0 < s <= N // 2:
        return None
    square = (pow(r, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    if y & 1 != v - 27:
        y = P - y
    inverse = pow(r, -1, N)
    one, two = multiply(G, -int.from_bytes(digest, "big") * inverse % N), multiply((r, y), s * inverse % N)
    key = add(one, two)
    return None if key is None else address_of(key)


# --- Ed25519 (RFC 8032), strictly: canonical, no small order, no cofactor ---

Q = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, Q) % Q
ZERO = (0, 1, 1, 0)


def edwards_add(a, b):
    """Points as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z (RFC 8032, section 5.1.4)."""
    one, two = (a[1] - a[0]) * (b[1] - b[0]) % Q, (a[1] + a[0]) * (b[1] + b[0]) % Q
    three, four = 2 * a[3] * b[3] * D % Q, 2 * a[2] * b[2] % Q
    e, f, g, h = two - one, four - three, four + three, two + one
    return e * f % Q, g * h % Q, f * g % Q, e * h % Q


def edwards_multiply(point, scalar):
    total = ZERO
    while scalar:
        if scalar & 1:
            total = edwards_add(total, point)
        point, scalar = edwards_add(point, point), scalar >> 1
    return total


def edwards_equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % Q == 0 and (a[1] * b[2] - b[1] * a[2]) % Q == 0


def edwards_point(encoded):
    """The point, or None when the encoding is not canonical or of small order."""
    y, sign = int.from_bytes(encoded, "little") & ((1 << 255) - 1), encoded[31] >> 7
    if y >= Q:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(square, (Q + 3) // 8, Q)
    if x * x % Q != square:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    if x * x % Q != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = Q - x
    point = (x, y, 1, x * y % Q)
    return None if edwards_equal(edwards_multiply(point, 8), ZERO) else point


BASE = edwards_point((4 * pow(5, -1, Q) % Q).to_bytes(32, "little"))


def sha512_number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def signed_by(key, label, message, signature):
    public, nonce = edwards_point(key), edwards_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or nonce is None or scalar >= ORDER:
        return False
    challenge = sha512_number(signature[:32], key, label, b"\0", message) % ORDER
    right = edwards_add(nonce, edwards_multiply(public, challenge))
    return edwards_equal(edwards_multiply(BASE, scalar), right)


def public_key(seed):
    half = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = half & ((1 << 254) - 8) | 1 << 254
    x, y, z, _ = edwards_multiply(BASE, scalar)
    x, y = x * pow(z, -1, Q) % Q, y * pow(z, -1, Q) % Q
    return (y | (x & 1) << 255).to_bytes(32, "little")
