"""One hash over many texts, and the proof that a text is one of them: the tree of RFC 6962, section 2.1."""

from collections.abc import Sequence
from hashlib import sha256

# A leaf can never pass for a node: their hashes begin differently.
_LEAF, _NODE = b"\x00", b"\x01"


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The hash over all leaves, in their order."""
    level = _hashed(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256().digest()


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from the leaf at `index` to the root, from the leaf up."""
    level, path = _hashed(leaves), []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):  # the last one of an odd number goes up as it is
            path.append(level[beside])
        level, index = _above(level), index // 2
    return path


def _hashed(leaves: Sequence[bytes]) -> list[bytes]:
    return [sha256(_LEAF + leaf).digest() for leaf in leaves]


def _above(level: list[bytes]) -> list[bytes]:
    pairs = [
        sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    return pairs + level[len(pairs) * 2 :]
