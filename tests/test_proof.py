"""Proofs: docs/reference/check_proof.py believes what `prove` writes, whole, and nothing else."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from crash.forging import CREATED, SAID, forged
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from journal import SealError, Session, SessionNotFoundError, StateStore
from journal.note import SigningKey, sign
from journal.seal import Head, make_seal, split_seal
from projections import ContentErased
from tests.test_seal import AT, CHAIN, KEY, erased, lines_of, put, speak

SCRIPT = Path(__file__).parents[1] / "docs" / "reference" / "check_proof.py"
PUBLIC = str(KEY.verifier())


def load_checker():
    names = {"__name__": "check_proof"}
    exec(SCRIPT.read_text(), names)
    return SimpleNamespace(**names), names


CHECKER, NAMES = load_checker()


def is_signed(public, message, signature):
    """As the script's own, in C."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.fixture
def fast(monkeypatch):
    """The script without its slow signatures, which have tests of their own."""
    monkeypatch.setitem(NAMES, "is_signed", is_signed)


@pytest.fixture
def talks(folder):
    """Five sessions; s has nine records in eight batches, and the third lost its content."""
    with StateStore(folder, durability="os") as store:
        speak(store, "s", "one", "two", "three")
        for each in ("a", "m", "t", "z"):
            speak(store, each, "other")
    lines = lines_of(folder, "s")
    put(folder, "s", b"".join([*lines[:2], erased(lines[2]), *lines[3:]]))
    with StateStore(folder, durability="os") as store:
        told = ContentErased(versions=[3], types=["user_message_added"], reason="r")
        store.append("s", [told], expected_version=4)
        speak(store, "s", 'fünf "x" \n', "six", "seven", "eight")
        yield store


def proof_of(store, seal, version, session_id="s"):
    return json.loads(store.prove(session_id, version, seal=seal.data))


def checked(proof):
    return CHECKER.check(json.dumps(proof), PUBLIC)


# What is proven


@pytest.mark.parametrize("scope", ["s", ["s", "t"], ["s"], None])
def test_every_record_up_to_the_sealed_one_is_proven(talks, fast, scope):
    """Those that were erased, too: that they stood there, and when."""
    seal = talks.seal(scope, key=KEY)
    speak(talks, "s", "later")
    stored = list(talks.records("s"))
    for record in stored[:9]:
        found = CHECKER.check(talks.prove("s", record.seq, seal=seal.data), PUBLIC)

        assert found["record"]["id"] == record.id
        assert found["record"]["chain"] == record.chain
        assert found["is_erased"] == (record.seq == 3)
        assert (found["session_id"], found["sealed_version"]) == ("s", 9)
        assert found["signer"] == "example.com/audit"
        assert found["sealed_at"] == f"{seal.at:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert len(stored) == 10


@given(st.integers(1, 20), st.data())
def test_any_session_of_any_number_is_proven_to_be_one_of_them(count, data):
    """Whatever the shape of the tree."""
    heads = [Head(f"s{number:02}", number + 1, CHAIN) for number in range(count)]
    root = make_seal(heads, "store", AT, KEY).data.decode().split("\n")[4].removeprefix("root ")
    index = data.draw(st.integers(0, count - 1))
    wrong = data.draw(st.integers(0, count - 1))
    from journal.merkle import audit_path

    leaves = [head.line().encode() for head in heads]
    path = [CHECKER.b64url(each) for each in audit_path(leaves, index)]

    assert CHECKER.root_above(leaves[index], index, count, path) == root
    if wrong != index:
        assert refused(CHECKER.root_above, leaves[wrong], index, count, path) or (
            CHECKER.root_above(leaves[wrong], index, count, path) != root
        )
    for worse in (path[:-1], [*path, CHAIN]):
        if worse != path:
            assert refused(CHECKER.root_above, leaves[index], index, count, worse)
    assert refused(CHECKER.root_above, leaves[index], count, count, path)


def refused(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_a_proof_holds_no_content_but_its_own_records(talks):
    """Of the others, when and by whom, and hashes; of other sessions nothing but hashes."""
    text = talks.prove("s", 6, seal=talks.seal(key=KEY).data).decode()

    assert "fünf" in text
    for other in ("one", "two", "six", "seven", "eight", "other"):
        assert other not in text
    assert text.count("salt") == 1


def test_the_script_says_what_is_proven_and_by_whom(talks, tmp_path):
    """As an auditor runs it: one file, an isolated interpreter, another folder."""
    script = tmp_path / "check_proof.py"
    script.write_text(SCRIPT.read_text())
    seal = talks.seal(key=KEY)
    (tmp_path / "key").write_text(PUBLIC + "\n")
    results = []
    for version, key in ((6, PUBLIC), (3, str(tmp_path / "key")), (6, str(SigningKey.new("x").verifier()))):
        (tmp_path / "proof").write_bytes(talks.prove("s", version, seal=seal.data))
        command = [sys.executable, "-I", str(script), str(tmp_path / "proof"), key]
        results.append(subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False))
    said, lost, unknown = results

    assert [each.returncode for each in results] == [0, 0, 1]
    assert [each.stderr for each in results] == ["", "", ""]
    assert 'session "s", record 6' in said.stdout
    assert '"content": "f\\u00fcnf \\"x\\" \\n"' in said.stdout
    assert "PROVEN: sealed by example.com/audit with the session's version 9" in said.stdout
    assert "its content was erased" in lost.stdout
    assert "NOT PROVEN: the seal is not signed by x" in unknown.stdout


def test_the_script_needs_nothing_but_the_standard_library():
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    } | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported
    assert imported <= sys.stdlib_module_names


# What is not


def test_every_changed_byte_of_a_proof_is_refused(talks, fast):
    data = talks.prove("s", 6, seal=talks.seal(key=KEY).data)
    believed = []
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            if changed.translate(None, b" \n") == data.translate(None, b" \n"):
                continue
            try:
                CHECKER.check(bytes(changed), PUBLIC)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            believed.append((at, bit, bytes(changed[at - 10 : at + 10])))

    assert believed == []


def test_no_changed_byte_of_an_erased_records_proof_proves_something_else(talks, fast):
    """What it `was` stands in no hash: so the script does not say it."""
    data = talks.prove("s", 3, seal=talks.seal("s", key=KEY).data)
    whole = CHECKER.check(data, PUBLIC)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 7
        try:
            found = CHECKER.check(bytes(changed), PUBLIC)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        event, found["record"]["event"] = found["record"]["event"], whole["record"]["event"]

        assert found == whole
        assert event["type"] == "erased"


TAMPERED = {
    "the record of another version": lambda proof, other: proof | {"record": other["record"]},
    "a record that is left out": lambda proof, other: proof | {"headers": proof["headers"][1:]},
    "a record at the end that is left out": lambda proof, other: proof | {"headers": proof["headers"][:-1]},
    "a record that stands twice": lambda proof, other: (
        proof | {"headers": proof["headers"] + proof["headers"]}
    ),
    "records in another order": lambda proof, other: proof | {"headers": proof["headers"][::-1]},
    "another session's id": lambda proof, other: proof | {"session_id": "t"},
    "no text for an id": lambda proof, other: proof | {"session_id": 7},
    "one text for the headers": lambda proof, other: proof | {"headers": "".join(proof["headers"])},
    "another format": lambda proof, other: proof | {"format": "session-journal/proof/2"},
    "a key too many": lambda proof, other: proof | {"by": "mallory"},
    "a key too few": lambda proof, other: {key: proof[key] for key in proof if key != "previous"},
    "a path where there is none": lambda proof, other: proof | {"index": 0, "path": []},
    "a number for the path": lambda proof, other: proof | {"index": 0, "path": 7},
    "no note": lambda proof, other: proof | {"seal": ""},
    "no text for a note": lambda proof, other: proof | {"seal": None},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_proof_that_was_put_together_anew_is_refused(talks, fast, change):
    seal = talks.seal("s", key=KEY)
    proof = proof_of(talks, seal, 5)
    tampered = change(proof, proof_of(talks, seal, 6))

    assert checked(proof)["record"]["seq"] == 5
    assert tampered != proof
    with pytest.raises((ValueError, TypeError, AttributeError)):
        checked(tampered)


def signed(proof, **change):
    """The proof with a change, and a seal that somebody signed for just that."""
    proof = proof | change
    header, _, rest = proof["record"].partition(',"chain":"')
    chain = CHECKER.chain_after(proof["previous"], header.encode())
    proof["record"] = f'{header},"chain":"{chain}{rest[43:]}'
    for each in proof["headers"]:
        chain = CHECKER.chain_after(chain, each.encode())
    head = Head(str(proof["session_id"]), json.loads(proof["record"])["seq"] + len(proof["headers"]), chain)
    is_text = isinstance(proof["session_id"], str)
    seal = make_seal([head], "session" if is_text else "store", AT, KEY)
    place = {} if is_text else {"index": 0, "path": []}
    return proof | place | {"seal": split_seal(seal.data)[0].decode()}


def test_what_is_not_written_as_we_write_it_is_refused_whoever_signed_it(talks, fast):
    """Each part has one form; what has another one may mean something else to another reader."""
    proof = proof_of(talks, talks.seal("s", key=KEY), 8)
    (last,) = proof["headers"]

    assert checked(signed(proof))["sealed_version"] == 9
    for change in (
        {"previous": proof["previous"] + "x"},
        {"previous": ""},
        {"session_id": 7},
        {"headers": [last.replace('"seq":9', '"seq":10')]},
        {"headers": [last.replace('{"v":1', '{"v":2')]},
        {"headers": [" " + last]},
        {"headers": ""},
        {"record": proof["record"].replace('{"v":1,', '{"v": 1,', 1)},
        {"record": proof["record"].replace('{"v":1,', '{"by":"x","v":1,', 1)},
        {"record": proof["record"].replace('"event":', ' "event":', 1)},
    ):
        with pytest.raises((ValueError, TypeError)):
            checked(signed(proof, **change))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("session-journal/seal/1", "session-journal/seal/2"),
        ("session-journal/seal/1", "example.com/log"),
        ("scope session", "scope store"),
        ("time ", "at "),
        ("version ", "sessions "),
    ],
)
def test_another_note_of_the_same_key_is_no_seal(talks, fast, before, after):
    """A key may sign other things; what it signed says what it is."""
    proof = proof_of(talks, talks.seal("s", key=KEY), 9)
    text = proof["seal"].split("\n\n")[0] + "\n"

    assert before in text
    with pytest.raises((ValueError, AttributeError)):
        checked(proof | {"seal": sign(text.replace(before, after, 1), KEY).decode()})


def test_a_record_cannot_borrow_bytes_from_the_chain_before_it(talks, fast):
    """The two are hashed one behind the other: where one ends must be fixed."""
    proof = proof_of(talks, talks.seal("s", key=KEY), 9)
    header, _, rest = proof["record"].partition(',"chain":"')
    for cut in (1, 10, len(header) - 60):
        moved = proof | {"previous": proof["previous"] + header[:cut], "record": proof["record"][cut:]}
        with pytest.raises((ValueError, KeyError)):
            checked(moved)
    shortened = proof | {
        "previous": proof["previous"][:-1],
        "record": proof["previous"][-1] + proof["record"],
    }
    with pytest.raises(ValueError):  # noqa: PT011
        checked(shortened)
    assert rest


def test_a_key_that_stands_twice_is_refused(talks, fast):
    """A JSON parser takes the last one, and another parser the first."""
    proof = talks.prove("s", 9, seal=talks.seal("s", key=KEY).data).decode()
    with pytest.raises(ValueError, match="twice"):
        CHECKER.check(proof.replace("{", '{"session_id": "t",', 1), PUBLIC)
    third = proof_of(talks, talks.seal("s", key=KEY), 3)
    for added in ('"by":"mallory"', '"at":"2001-01-01T00:00:00.000000Z"'):
        with pytest.raises(ValueError, match=r"twice|not written"):
            checked(third | {"record": third["record"][:-1] + f",{added}}}"})


def test_a_seal_of_another_session_or_store_does_not_prove_it(talks, fast, tmp_path):
    ours, theirs = talks.seal("s", key=KEY), talks.seal("t", key=KEY)
    of_all = talks.seal(["a", "t"], key=KEY)
    proof = proof_of(talks, ours, 9)
    among = proof_of(talks, talks.seal(key=KEY), 9)
    note = of_all.data.decode().split("\n\n2 ")[0]

    for wrong in (proof | {"seal": theirs.data.decode()}, proof | {"seal": note}, among | {"seal": note}):
        with pytest.raises((ValueError, AttributeError)):
            checked(wrong)
    with pytest.raises(ValueError, match="keys"):
        checked(among | {"seal": ours.data.decode()})
    with pytest.raises(ValueError, match="not signed"):
        CHECKER.check(json.dumps(proof), str(SigningKey.new("example.com/audit").verifier()))


@pytest.mark.parametrize(
    "key", ["", "a+b", "a+b+c", PUBLIC.replace("+", "+0", 1), PUBLIC[:-4], PUBLIC[:-4] + "AAA="]
)
def test_what_is_no_key_proves_nothing(talks, key):
    with pytest.raises(ValueError):  # noqa: PT011
        CHECKER.check(talks.prove("s", 9, seal=talks.seal("s", key=KEY).data), key)


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner), max_leaves=5)
)
def test_any_json_is_told_to_be_no_proof(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "proof"
    path.write_text(json.dumps(value))

    assert CHECKER.main(str(path), PUBLIC) == 1


# What prove refuses


def test_what_came_after_the_seal_is_not_proven(talks):
    seal = talks.seal(key=KEY)
    speak(talks, "s", "later")
    for version in (10, 0, -1):
        with pytest.raises(SealError, match="proves its records 1 to 9"):
            talks.prove("s", version, seal=seal.data)
    with pytest.raises(SealError, match="not of session 'nobody'"):
        talks.prove("nobody", 1, seal=seal.data)
    with pytest.raises(SealError, match="no seal"):
        talks.prove("s", 1, seal=b"")


def test_a_session_that_is_not_as_sealed_proves_nothing(talks, folder):
    seal = talks.seal(key=KEY)
    whole = lines_of(folder, "s")
    for data in (
        b"".join(whole[:-1]),
        forged([CREATED, *[SAID] * 8]),
        b"".join(whole).replace(b"six", b"sjx"),
    ):
        put(folder, "s", data)
        with pytest.raises(SealError, match="not what was sealed"):
            talks.prove("s", 2, seal=seal.data)
    (folder / "sessions" / "s.jsonl").unlink()
    with pytest.raises(SessionNotFoundError):
        talks.prove("s", 2, seal=seal.data)


def test_a_record_that_is_no_text_is_told(store, folder):
    """Hashes fit around any bytes; a seal for them takes a signer who did not look."""
    (folder / "sessions").mkdir(parents=True)
    put(folder, "s", forged([CREATED, b'{"type":"user_message_added","content":"\xff"}']))
    chain = lines_of(folder, "s")[1].partition(b',"chain":"')[2][:43].decode()
    seal = make_seal([Head("s", 2, chain)], "session", AT, KEY)

    with pytest.raises(SealError, match="not UTF-8"):
        store.prove("s", 2, seal=seal.data)


def test_a_proof_costs_a_header_a_record(store):
    """Some 200 bytes for each record in between, whatever was said."""
    session = Session.with_id("ada", "s")
    for number in range(200):
        session.add_user_message("x" * 10_000 + str(number))
    store.save_session(session)
    seal = store.seal("s", key=KEY)
    near, far = (len(store.prove("s", version, seal=seal.data)) for version in (200, 100))

    assert 180 < (far - near) / 100 < 240


# The script's own Ed25519


# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(
    ("public", "message", "signature"), [tuple(map(bytes.fromhex, each)) for each in VECTORS]
)
def test_the_scripts_signatures_are_those_of_the_specification(public, message, signature):
    assert CHECKER.is_signed(public, message, signature)
    assert is_signed(public, message, signature)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), flip=st.integers(0, 1023))
def test_the_script_believes_the_signatures_that_the_library_believes(seed, message, flip):
    """Good ones, those with a flipped bit, and keys with one."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    bad_signature, bad_public = bytearray(signature), bytearray(public)
    bad_signature[flip % 512 // 8] ^= 1 << flip % 8
    bad_public[flip % 256 // 8] ^= 1 << flip % 8

    assert CHECKER.is_signed(public, message, signature)
    assert not is_believed(public, message + b"x", signature)
    assert not is_believed(public, message, bytes(bad_signature))
    assert not is_believed(bytes(bad_public), message, signature)


def is_believed(public, message, signature):
    try:
        return CHECKER.is_signed(public, message, signature)
    except ValueError:  # no point of the curve
        return False


def test_a_signature_that_was_made_another_one_without_the_key_is_refused():
    """The number s + L does what s does, where nobody looks at its size."""
    public, message, signature = map(bytes.fromhex, VECTORS[1])
    s = int.from_bytes(signature[32:], "little") + CHECKER.ORDER
    for other in (signature[:32] + s.to_bytes(32, "little"), signature + b"\0", signature[:-1], b""):
        assert not CHECKER.is_signed(public, message, other)


@pytest.mark.parametrize(
    "raw",
    [b"\xff" * 32, (2**255 - 19).to_bytes(32, "little"), b"\x02" + bytes(31), b"\x01" + bytes(30) + b"\x80"],
)
def test_what_is_no_point_of_the_curve_is_no_key(raw):
    with pytest.raises(ValueError, match="no point"):
        CHECKER.decode_point(raw)
