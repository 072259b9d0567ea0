"""How a store lies in JetStream: which streams there are, which subjects, and what the headers say.

    NAME               a stream: the journals
      NAME.e.TOKEN       a session's changes. A message is a change, and its payload the bytes as in a file
      NAME.s.TOKEN.ID    the pieces of a change that is too large for a message
      NAME.live.TOKEN    not kept: each change once more, for those who listen
    KV_NAME-files      a key-value bucket: the files; a file's last message counts
      $KV.NAME-files.FILE       its name, so that it is readable
    OBJ_NAME-objects   an object store: the pieces of files that are too large for a message
      $O.NAME-objects.C.FILE.ID

A session's subject ends with its id's UTF-8 in base32hex: an id may hold any character, a subject may not.
Every change names the one before it, and counts only if that is the last one: the server checks it.
"""

import base64
import re
from functools import lru_cache
from typing import Final, Literal

# The server's header
EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
# Ours
KIND: Final = "Journal-Kind"  # "replace" or "delete"; without it, a change is an append
TOMBSTONES: Final = "Journal-Tombstones"  # of a replacement: so many bytes before its lines are those
PIECES: Final = "Journal-Pieces"  # "ID/COUNT": the payload is elsewhere
PUT: Final = "Journal-Put"  # of a file: which call wrote it
AFTER: Final = "Journal-After"  # of a piece: what its change expects to be the last one

# Headers count, too, where the server limits a message.
HEADER_BYTES: Final = 4096

Kind = Literal["append", "replace", "delete"]
# Where a name ends, and a folder's name begins: a subject's part may hold a slash, and not a dot at its ends.
_PART: Final = "/."
_ESCAPED = re.compile(r"(?:=[0-9A-F]{2})+")
_PLAIN = re.compile(r"[A-Za-z0-9_-]|(?<=[^.])\.(?=[^.])")


class Layout:
    """The names that belong to a store.

    journals, files, objects  the streams
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.journals, self.files, self.objects = name, f"KV_{name}-files", f"OBJ_{name}-objects"
        self._changes, self._live, self._file = f"{name}.e.", f"{name}.live.", f"$KV.{name}-files."

    def changes(self, session_id: str | None) -> str:
        """The subject of a session's changes, or of all."""
        return self._changes + ("*" if session_id is None else _token(session_id))

    def live(self, session_id: str | None) -> str:
        """Where changes are heard as they come."""
        return self._live + ("*" if session_id is None else _token(session_id))

    def session_of(self, subject: str) -> str:
        """The session whose change has this subject."""
        return _session_id(subject[len(self._changes) :])

    def pieces(self, session_id: str, change: str = "*") -> str:
        """The subject of the pieces of a session's change."""
        return f"{self.name}.s.{_token(session_id)}.{change}"

    def file(self, name: str) -> str:
        """The subject of a file."""
        return self._file + encode_name(name)

    def folder(self, folder: str) -> str:
        """The subjects of the files below a folder, or of all below ""."""
        return f"{self._file}{encode_name(folder)}{_PART}>" if folder else f"{self._file}>"

    def file_of(self, subject: str) -> str:
        """The file that has this subject."""
        return decode_name(subject[len(self._file) :])

    def file_pieces(self, name: str, version: str = "*") -> str:
        """The subject of the pieces of a large file, as it was put there once."""
        return f"$O.{self.name}-objects.C.{encode_name(name)}.{version}"

    def settings(self) -> dict[str, dict[str, object]]:
        """What the streams must be like, by their names. The first is the journals'."""
        common = {
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": False,
            "deny_purge": False,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_msg_size": -1,
        }
        live = {"src": f"{self._changes}*", "dest": f"{self._live}{{{{wildcard(1)}}}}"}
        return {
            self.journals: {
                **common,
                "subjects": [f"{self._changes}*", f"{self.name}.s.*.*"],
                "max_msgs_per_subject": -1,
                "republish": live,
            },
            # One counts. The others are there until whoever put it has overwritten them.
            self.files: {**common, "subjects": [f"{self._file}>"], "max_msgs_per_subject": 64},
            self.objects: {
                **common,
                "subjects": [f"$O.{self.name}-objects.C.>", f"$O.{self.name}-objects.M.>"],
                "max_msgs_per_subject": -1,
            },
        }


@lru_cache(maxsize=1 << 16)
def _token(session_id: str) -> str:
    return base64.b32hexencode(session_id.encode()).decode().rstrip("=").lower()


@lru_cache(maxsize=1 << 16)
def _session_id(token: str) -> str:
    return base64.b32hexdecode(token.upper() + "=" * (-len(token) % 8)).decode()


def encode_name(name: str) -> str:
    """A file's name as a key: `notes/a.md` is `notes/.a.md`; what a key cannot hold is `=` and hex digits."""
    return _PART.join(_encode_part(part) for part in name.split("/"))


def _encode_part(part: str) -> str:
    if not part:
        return "="
    return "".join(
        part[at] if _PLAIN.match(part, at) else "".join(f"={byte:02X}" for byte in part[at].encode())
        for at in range(len(part))
    )


def decode_name(key: str) -> str:
    """The file's name that a key stands for."""
    parts = ("" if part == "=" else part for part in key.split(_PART))
    return "/".join(_ESCAPED.sub(_unescape, part) for part in parts)


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("=", "")).decode()
