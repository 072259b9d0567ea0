"""Signed notes: the specification's own examples, what is refused, and who is believed."""

import base64
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import InvalidKeyError, MissingExtraError, SealError
from journal.note import MAX_NOTE_BYTES, MAX_SIGNATURES, SigningKey, VerifierKey, open_note, sign

# From https://c2sp.org/signed-note, "Example".
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
# From the documentation of Go's golang.org/x/mod/sumdb/note, where the format was first: with a private key.
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.
"""
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

KEY = SigningKey.parse(GO_SECRET)
PUBLIC = VerifierKey.parse(GO_KEY)

texts = st.text(st.characters(exclude_categories=("Cs",), min_codepoint=32), max_size=40)


def test_the_specifications_note_opens_with_its_key():
    note = open_note(C2SP_NOTE, [VerifierKey.parse(C2SP_KEY)])

    assert note.text == "This is an example message.\n"
    assert note.signers == ("example.com/foo",)


def test_what_gos_library_signs_is_signed_here_byte_for_byte():
    """Ed25519 has one signature for a text: another implementation writes the same note."""
    assert sign(GO_TEXT, KEY) == GO_NOTE
    assert KEY.verifier() == PUBLIC
    assert KEY.secret() == GO_SECRET
    assert str(PUBLIC) == GO_KEY
    assert open_note(GO_NOTE, [PUBLIC]).text == GO_TEXT


@given(st.lists(texts, min_size=1))
def test_what_is_signed_opens_with_its_text(lines):
    """Whatever the text: empty lines, lines that look like signatures, any script."""
    text = "\n".join(lines) + "\n"

    assert open_note(sign(text, KEY), [PUBLIC]).text == text


def test_every_changed_byte_of_a_note_is_refused():
    """In its text, its key's name, its signature."""
    believed = []
    for at in range(len(GO_NOTE)):
        for bit in range(8):
            changed = bytearray(GO_NOTE)
            changed[at] ^= 1 << bit
            try:
                open_note(bytes(changed), [PUBLIC])
            except SealError:
                continue
            believed.append((at, bit))

    assert believed == []


@pytest.mark.parametrize("key", [GO_KEY, C2SP_KEY])
def test_no_part_of_a_vkey_and_none_with_a_changed_character_is_a_key(key):
    parts = [key[start:end] for start in range(len(key)) for end in range(start, len(key) + 1)]
    changed = [key[:at] + chr(ord(key[at]) + 1) + key[at + 1 :] for at in range(len(key))]
    for text in [*parts, *changed]:
        if text != key:
            with pytest.raises(InvalidKeyError):
                VerifierKey.parse(text)

    assert str(VerifierKey.parse(key)) == key


def test_no_private_key_with_a_changed_character_signs():
    """The id is of the public key, so even a changed secret shows, before anything is signed with it."""
    for at in range(len(GO_SECRET)):
        changed = GO_SECRET[:at] + chr(ord(GO_SECRET[at]) + 1) + GO_SECRET[at + 1 :]
        with pytest.raises(InvalidKeyError) as error:
            sign(GO_TEXT, SigningKey.parse(changed))

        assert GO_SECRET[-20:-4] not in str(error.value)


def test_a_private_key_does_not_show_itself():
    assert GO_SECRET[-20:] not in repr(KEY)
    assert KEY.seed.hex() not in repr(KEY)
    assert str(KEY.seed) not in repr(KEY)


def test_each_new_key_is_another_and_is_read_again():
    keys = [SigningKey.new("example.com/audit") for _ in range(3)]

    assert len({key.seed for key in keys}) == 3
    for key in keys:
        assert SigningKey.parse(key.secret()) == key
        assert VerifierKey.parse(str(key.verifier())) == key.verifier()
        assert open_note(sign("a\n", key), [key.verifier()]).signers == ("example.com/audit",)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u00a0b", "a\u2028b", "a\nb", "a\x00b", "\ud800", "a" * 256]
)
def test_a_name_that_no_note_can_hold_is_refused(name):
    with pytest.raises(InvalidKeyError):
        SigningKey.new(name)


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "a\r\n", "\x00\n", "\ud800\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text):
    with pytest.raises(ValueError, match="newline"):
        sign(text, KEY)


# Who is believed


def signature_line(key, text=GO_TEXT):
    return sign(text, key).decode().rpartition("\n\n")[2]


def test_signatures_of_others_are_passed_over_and_a_bad_one_of_a_known_key_is_not():
    other = SigningKey.new("example.com/other")
    both = GO_NOTE + signature_line(other).encode()
    forged = GO_NOTE + signature_line(other, "another text\n").encode()

    assert open_note(both, [PUBLIC]).signers == ("PeterNeumann",)
    assert open_note(both, [PUBLIC, other.verifier()]).signers == ("PeterNeumann", "example.com/other")
    assert open_note(forged, [PUBLIC]).text == GO_TEXT
    with pytest.raises(SealError, match=r"'example\.com/other' does not fit"):
        open_note(forged, [PUBLIC, other.verifier()])


def test_a_key_of_the_same_name_is_another_key():
    """Name and id are compared, and then the signature itself."""
    namesake = SigningKey.new("PeterNeumann")
    same_id = GO_NOTE.decode().rpartition(" ")[2]
    raw = base64.b64decode(same_id)
    forged = sign(GO_TEXT, namesake).decode().rpartition(" ")[0] + " "
    forged += base64.b64encode(raw[:4] + base64.b64decode(signature_line(namesake).split()[2])[4:]).decode()

    with pytest.raises(SealError, match="not signed by PeterNeumann"):
        open_note(sign(GO_TEXT, namesake), [PUBLIC])
    with pytest.raises(SealError, match="does not fit"):
        open_note(forged.encode() + b"\n", [PUBLIC])
    with pytest.raises(SealError):
        open_note(GO_NOTE, [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"text\n",
        GO_TEXT.encode(),
        GO_NOTE[:-1],
        GO_NOTE + b"\n",
        GO_NOTE + b"rest\n",
        GO_NOTE.replace(b"\n", b"\r\n"),
        GO_NOTE.replace("—".encode(), b"-"),
        GO_NOTE.replace(b"=\n", b"\n"),
        GO_NOTE.replace(b"=\n", b"= \n"),
        GO_NOTE.replace(b"AM=\n", b"AN=\n"),  # other bits that nothing decodes
        GO_NOTE.replace(b"\n\n", b"\n"),
        GO_NOTE + "— x AAAA\n".encode(),
        b"\xff" + GO_NOTE,
        b"\t" + GO_NOTE,
        GO_NOTE + signature_line(KEY).encode() * MAX_SIGNATURES,
    ],
)
def test_what_is_no_note_is_refused(data):
    with pytest.raises(SealError):
        open_note(data, [PUBLIC])


def test_a_note_that_is_too_long_is_refused_whoever_signed_it():
    long = sign("x" * MAX_NOTE_BYTES + "\n", KEY)
    longest = sign("x" * (MAX_NOTE_BYTES - len(GO_NOTE)) + "\n", KEY)

    assert open_note(longest, [PUBLIC]).signers == ("PeterNeumann",)
    with pytest.raises(SealError, match="bytes long"):
        open_note(long, [PUBLIC])


def test_sixteen_signatures_of_others_do_not_hide_ours():
    """A reader must take as many."""
    others = "".join(signature_line(SigningKey.new(f"other-{number}")) for number in range(16))
    text, ours = GO_NOTE.decode().split("\n\n")

    assert open_note(f"{text}\n\n{others}{ours}".encode(), [PUBLIC]).signers == ("PeterNeumann",)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_a_seal_error(data):
    with pytest.raises(SealError):
        open_note(data, [PUBLIC])


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_an_invalid_key_error(text):
    for kind in (VerifierKey, SigningKey):
        with pytest.raises(InvalidKeyError):
            kind.parse(text)


# The optional package


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    for name in [each for each in sys.modules if each.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    calls = [
        lambda: sign("a\n", KEY),
        lambda: open_note(GO_NOTE, [PUBLIC]),
        lambda: SigningKey.new("a"),
        lambda: KEY.verifier(),
    ]
    for call in calls:
        with pytest.raises(MissingExtraError, match=r"pip install 'session-journal\[seal\]'"):
            call()

    assert VerifierKey.parse(GO_KEY) == PUBLIC


def test_nothing_of_cryptography_is_imported_before_a_signature():
    """Keys, notes and seals can be read without it."""
    code = (
        "import sys; from journal import *; from journal import note, seal; import journal.cli.commands\n"
        f"note.VerifierKey.parse({GO_KEY!r}); note.SigningKey.parse({GO_SECRET!r})\n"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
