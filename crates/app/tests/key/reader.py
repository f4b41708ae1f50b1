# Opens a Web3 keystore with other code than ours: argv[1] is the file, argv[2] the file of its password.
import hashlib, json, sys
from Crypto.Cipher import AES
from Crypto.Hash import keccak

def hashed(data): return keccak.new(digest_bits=256, data=data).digest()

P = 2**256 - 2**32 - 977
G = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
     0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)
def add(a, b):
    if a is None or b is None: return a or b
    if a[0] == b[0] and a[1] != b[1]: return None
    slope = 3 * a[0]**2 * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope**2 - a[0] - b[0]) % P
    return (x, (slope * (a[0] - x) - a[1]) % P)
def times(n, point):
    total = None
    while n:
        if n & 1: total = add(total, point)
        point, n = add(point, point), n >> 1
    return total

file = json.load(open(sys.argv[1]))
password = open(sys.argv[2]).read().rstrip('\n').encode()
crypto, params = file['crypto'], file['crypto']['kdfparams']
assert (file['version'], crypto['kdf'], crypto['cipher']) == (3, 'scrypt', 'aes-128-ctr'), file
key = hashlib.scrypt(password, salt=bytes.fromhex(params['salt']), n=params['n'], r=params['r'], p=params['p'],
                     dklen=params['dklen'], maxmem=2**30)
ciphertext = bytes.fromhex(crypto['ciphertext'])
assert hashed(key[16:32] + ciphertext).hex() == crypto['mac'], 'mac'
iv = int(crypto['cipherparams']['iv'], 16)
secret = AES.new(key[:16], AES.MODE_CTR, nonce=b'', initial_value=iv).decrypt(ciphertext)
x, y = times(int.from_bytes(secret, 'big'), G)
address = hashed(x.to_bytes(32, 'big') + y.to_bytes(32, 'big'))[12:].hex()
assert address == file['address'], 'address'
print(params['n'], params['r'], params['p'], secret.hex(), '0x' + address)
