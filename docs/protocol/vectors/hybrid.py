"""X25519, ML-KEM-768 and X-Wing for the second reader of the vectors, written from RFC 7748, FIPS 203 and
draft-connolly-cfrg-xwing-kem. Slow and not constant in time: it checks, and protects nothing.
"""

import hashlib

# --- X25519 (RFC 7748, section 5) ---

P = 2**255 - 19


def x25519(scalar, point=(9).to_bytes(32, "little")):
    k = int.from_bytes(scalar, "little") & ((1 << 254) - 8) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if bit ^ swapped:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swapped = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swapped:
        x2, z2 = x3, z3
    shared = (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")
    assert any(shared), "X25519 gave zero"
    return shared


# --- ML-KEM-768 (FIPS 203): k = 3, eta = 2, du = 10, dv = 4 ---

Q, K, DU, DV = 3329, 3, 10, 4


def reversed_bits(number):
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, reversed_bits(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * reversed_bits(i) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta, i = ZETAS[i], i + 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta, i = ZETAS[i], i - 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [c * 3303 % Q for c in f]


def product(f, g):
    h = []
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a0 * b0 + a1 * b1 * GAMMAS[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return h


def plus(*polynomials):
    return [sum(coefficients) % Q for coefficients in zip(*polynomials)]


def dot(row, column):
    return plus(*(product(f, g) for f, g in zip(row, column)))


def sample_ntt(seed):
    stream, taken = hashlib.shake_128(seed).digest(3 * 672), []
    for i in range(0, len(stream), 3):
        one, two, three = stream[i : i + 3]
        taken += [c for c in (one | (two & 15) << 8, two >> 4 | three << 4) if c < Q]
    return taken[:256]


def sample_cbd(seed, number):
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([number])).digest(128), "little")
    quads = (bits >> 4 * i & 15 for i in range(256))
    return [((b & 1) + (b >> 1 & 1) - (b >> 2 & 1) - (b >> 3)) % Q for b in quads]


def encode(width, f):
    return sum(c << width * i for i, c in enumerate(f)).to_bytes(32 * width, "little")


def decode(width, data):
    bits = int.from_bytes(data, "little")
    return [bits >> width * i & ((1 << width) - 1) for i in range(256)]


def compress(width, f):
    return [((c << width) + Q // 2) // Q % (1 << width) for c in f]


def decompress(width, f):
    return [(c * Q + (1 << width - 1)) >> width for c in f]


def pieces(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def ml_kem_key(seed):
    """(secret vector, encapsulation key, z) of d || z."""
    d, z = seed[:32], seed[32:]
    rho, sigma = g(d + bytes([K]))
    s = [ntt(sample_cbd(sigma, i)) for i in range(K)]
    e = [ntt(sample_cbd(sigma, K + i)) for i in range(K)]
    t = [plus(dot(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return s, b"".join(encode(12, f) for f in t) + rho, z


def encrypt(ek, message, coins):
    t, rho = [decode(12, piece) for piece in pieces(ek[:-32], 384)], ek[-32:]
    assert all(c < Q for f in t for c in f), "not an encapsulation key"
    y = [ntt(sample_cbd(coins, i)) for i in range(K)]
    columns = zip(*matrix(rho))
    u = [plus(inverse_ntt(dot(c, y)), sample_cbd(coins, K + i)) for i, c in enumerate(columns)]
    v = plus(inverse_ntt(dot(t, y)), sample_cbd(coins, 2 * K), decompress(1, decode(1, message)))
    return b"".join(encode(DU, compress(DU, f)) for f in u) + encode(DV, compress(DV, v))


def ml_kem_encapsulate(ek, message):
    shared, coins = g(message + hashlib.sha3_256(ek).digest())
    return shared, encrypt(ek, message, coins)


def ml_kem_decapsulate(key, ciphertext):
    s, ek, z = key
    u = [decompress(DU, decode(DU, piece)) for piece in pieces(ciphertext[:-128], 32 * DU)]
    v = decompress(DV, decode(DV, ciphertext[-128:]))
    w = plus(v, [-c for c in inverse_ntt(dot(s, map(ntt, u)))])
    shared, again = ml_kem_encapsulate(ek, encode(1, compress(1, w)))
    return shared if again == ciphertext else hashlib.shake_256(z + ciphertext).digest(32)


# --- X-Wing ---


def combine(lattice, curve, ct_curve, pk_curve):
    return hashlib.sha3_256(lattice + curve + ct_curve + pk_curve + rb"\.//^\ "[:6]).digest()


class XWing:
    """A private key, from its seed."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.lattice, self.curve = ml_kem_key(expanded[:64]), expanded[64:]
        self.public = self.lattice[1] + x25519(self.curve)

    def decapsulate(self, enc):
        assert len(enc) == 1120
        lattice = ml_kem_decapsulate(self.lattice, enc[:1088])
        return combine(lattice, x25519(self.curve, enc[1088:]), enc[1088:], self.public[1184:])


def xwing_encapsulate(public, randomness):
    assert len(public) == 1216 and len(randomness) == 64
    lattice, ciphertext = ml_kem_encapsulate(public[:1184], randomness[:32])
    enc_curve, curve = x25519(randomness[32:]), x25519(randomness[32:], public[1184:])
    return combine(lattice, curve, enc_curve, public[1184:]), ciphertext + enc_curve
