#!/usr/bin/env python3
"""Check a proof that `journal prove` wrote: python3 check_proof.py PROOF KEY

PROOF is the file; KEY the public key of whom you trust, NAME+ID+KEY, or a file that has it. It prints the
record and who sealed it when (exit code 0), or why the proof proves nothing (1). It needs Python 3.11 and
its standard library, not the store and not the library that wrote it. Format: seals.md, beside this file.
"""

import base64
import binascii
import hashlib
import json
import re
import sys

KEYS = {"format", "session_id", "previous", "record", "headers", "seal"}
HASH = re.compile(r"[A-Za-z0-9_-]{43}")
SALT = re.compile(rb'","salt":"([A-Za-z0-9_-]{22})","event":')
ERASED = re.compile(rb'","salt":null,"event":\{"type":"erased","was":"(?:[^"\\]|\\.)*"\}\}')


def check(data, vkey):
    """Say what a proof proves, as a dict; raise ValueError with the reason where it proves nothing."""
    proof = load(data)
    is_one_of_many = "path" in proof
    if proof.keys() != KEYS | ({"index", "path"} if is_one_of_many else set()):
        raise ValueError("it has not the keys of a proof")
    if proof["format"] != "session-journal/proof/1" or not is_hash(proof["previous"]):
        raise ValueError("it is no proof of format 1")
    if not isinstance(proof["session_id"], str) or not isinstance(proof["headers"], list):
        raise ValueError("it is no proof of format 1")
    seal, signer = check_note(proof["seal"], vkey)
    if is_one_of_many != (seal.root is not None):
        raise ValueError("it has not the keys of a proof against such a seal")
    record = load(proof["record"])
    chain = check_record(proof["record"].encode(), record, proof["previous"])
    seq = record["seq"]
    for header in proof["headers"]:
        seq += 1
        check_header(header.encode(), seq)
        chain = chain_after(chain, header.encode())
    if is_one_of_many:
        leaf = f"{seq} {chain} {proof['session_id']}".encode()
        root = root_above(leaf, proof["index"], seal.count, proof["path"])
        if root != seal.root:
            raise ValueError("the sealed session is not one of those that the seal stands for")
    elif (proof["session_id"], seq, chain) != (seal.session_id, seal.version, seal.chain):
        raise ValueError("the seal is of another session, or of another history")
    return {
        "session_id": proof["session_id"],
        "record": record,
        "is_erased": record["salt"] is None,
        "sealed_version": seq,
        "sealed_at": seal.time,
        "signer": signer,
    }


def load(data):
    """A JSON object without a key that stands twice."""

    def once(pairs):
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key stands twice in it")
        return dict(pairs)

    found = json.loads(data, object_pairs_hook=once)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


# The chain: format.md


def b64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_hash(text):
    # Of 43 characters the last holds two bits that no byte takes: they are 0.
    return (
        isinstance(text, str)
        and HASH.fullmatch(text) is not None
        and b64url(base64.urlsafe_b64decode(text + "=")) == text
    )


def chain_after(previous, header):
    return b64url(hashlib.sha256(b"journal/record/1" + previous.encode() + header).digest())


def check_header(header, seq):
    if not header.startswith(b'{"v":1,"seq":%d,"id":"' % seq):
        raise ValueError(f"no header of record {seq}")


def check_record(line, record, previous):
    """Return the chain behind a record whose content fits its digest, or was erased."""
    header, found, rest = line.partition(b',"chain":"')
    check_header(header, record["seq"])
    chain = chain_after(previous, header)
    if not found or rest[:43].decode() != chain:
        raise ValueError("the record's chain does not fit")
    if salted := SALT.match(rest, 43):
        content = salted[1] + rest[salted.end() : -1]
        digest = b64url(hashlib.sha256(b"journal/event/1" + content).digest())
        if not rest.endswith(b"}") or not header.endswith(f',"digest":"{digest}"'.encode()):
            raise ValueError("the record's content does not fit its digest")
    elif not ERASED.fullmatch(rest, 43):
        raise ValueError("it is not written as records are")
    return chain


# The tree over the heads of several sessions: RFC 6962, section 2.1


def root_above(leaf, index, count, path):
    """The root of a tree of `count` leaves, from one of them and the hashes beside its way up."""
    if type(index) is not int or not 0 <= index < count or not isinstance(path, list):
        raise ValueError("there is no such leaf")
    here, last, beside = hashlib.sha256(b"\0" + leaf).digest(), count - 1, list(path)
    while last:
        if index % 2 or index < last:
            if not beside or not is_hash(beside[0]):
                raise ValueError("its way to the root is too short")
            other = base64.urlsafe_b64decode(beside.pop(0) + "=")
            here = hashlib.sha256(b"\1" + (other + here if index % 2 else here + other)).digest()
        index, last = index // 2, last // 2
    if beside:
        raise ValueError("its way to the root is too long")
    return b64url(here)


# The seal: a signed note, https://c2sp.org/signed-note


class Seal:
    """What the signed text says."""

    def __init__(self, text):
        origin, scope, time, *about = text.split("\n")
        names = ["sessions", "root"] if scope != "scope session" else ["session", "version", "chain"]
        if origin != "session-journal/seal/1" or not time.startswith("time ") or about.pop() != "":
            raise ValueError("no seal of format 1")
        if [line.partition(" ")[0] for line in about] != names:
            raise ValueError("no seal of format 1")
        values = [line.partition(" ")[2] for line in about]
        self.time = time.removeprefix("time ")
        self.root = self.session_id = None
        if scope == "scope session":
            self.session_id, self.version, self.chain = values[0], int(values[1]), values[2]
        else:
            self.count, self.root = int(values[0]), values[1]


def check_note(note, vkey):
    """The seal in a note that this key signed, and the key's name."""
    name, key_id, encoded = vkey.strip().split("+", 2)
    key = binascii.a2b_base64(encoded, strict_mode=True)
    if key[:1] != b"\1" or len(key) != 33:
        raise ValueError("the key is no Ed25519 key")
    if hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != key_id:
        raise ValueError("the key does not fit its id")
    text, empty, lines = note.rpartition("\n\n")
    for line in lines.split("\n") if empty else ():
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash != "\u2014" or signer != name:
            continue
        signature = binascii.a2b_base64(encoded, strict_mode=True)
        if base64.b64encode(signature).decode() != encoded:
            raise ValueError("the signature is not written as signatures are")
        if signature[:4].hex() == key_id:
            if not is_signed(key[1:], (text + "\n").encode(), signature[4:]):
                raise ValueError(f"the signature of {name} does not fit")
            return Seal(text + "\n"), name
    raise ValueError(f"the seal is not signed by {name}")


# Ed25519: RFC 8032, section 5.1. Slow, and for checking signatures only: it is no code for a secret.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(one, other):
    """The sum of two points (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * D * one[3] * other[3] % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor, point):
    total = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def decode_point(raw):
    y, is_odd = int.from_bytes(raw, "little") % 2**255, raw[31] >> 7
    if y >= P:
        raise ValueError("no point of the curve")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and is_odd):
        raise ValueError("no point of the curve")
    x = x if x % 2 == is_odd else P - x
    return x, y, 1, x * y % P


def encode_point(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x % 2) << 255).to_bytes(32, "little")


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_signed(public, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER
    x, y, z, t = decode_point(public)
    minus = (P - x, y, z, P - t)
    return encode_point(add(times(s, BASE), times(k, minus))) == r


def main(path, key):
    try:
        with open(path, "rb") as file:
            data = file.read()
        if key.count("+") < 2:
            with open(key) as file:
                key = file.read()
        found = check(data, key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"NOT PROVEN: {error!s}" if isinstance(error, OSError | ValueError) else "NOT PROVEN: no proof")
        return 1
    record = found["record"]
    # As JSON in ASCII: nothing in it acts on a terminal.
    print(f"session {json.dumps(found['session_id'])}, record {record['seq']}, at {json.dumps(record['at'])}")
    if "by" in record:
        print(f"by {json.dumps(record['by'])}")
    print("its content was erased" if found["is_erased"] else json.dumps(record["event"]))
    sealed = f"version {found['sealed_version']}, at {found['sealed_at']}"
    print(f"PROVEN: sealed by {found['signer']} with the session's {sealed}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
