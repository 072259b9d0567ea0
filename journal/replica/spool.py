"""The journals that nobody opened here: all in one file, since a list needs no file of each."""

import os
from array import array
from typing import Final

from journal.replica.files import PLAIN, add_here

_NAME: Final = "spool"


class Spool:
    """Pieces of journals, one behind the other."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, _NAME)
        self._fd = -1
        # Of each session: up to where it is here, then offset and size of each piece.
        self._pieces: dict[str, array[int]] = {}

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._pieces

    def ids(self) -> list[str]:
        """The sessions whose journals are here."""
        return list(self._pieces)

    def place(self, session_id: str) -> int:
        """Up to where a session is here."""
        return self._pieces[session_id][0]

    def add(self, session_id: str, data: bytes, place: int) -> None:
        """Put bytes behind what is here of a session, which is then here up to this place."""
        if self._fd < 0:
            self._fd = PLAIN.open(self._path, write=True, create=True)
        begins = add_here(self._fd, data)
        pieces = self._pieces.setdefault(session_id, array("q", [0]))
        pieces[0] = place
        pieces.extend((begins, len(data)))

    def read(self, session_id: str) -> bytes:
        """A session's journal."""
        pieces = self._pieces[session_id]
        return b"".join(os.pread(self._fd, pieces[at + 1], pieces[at]) for at in range(1, len(pieces), 2))

    def drop(self, session_id: str) -> None:
        """A session is not here any more."""
        self._pieces.pop(session_id, None)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
