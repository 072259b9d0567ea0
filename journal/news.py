"""What is told of files that changed: which, and maybe what was added to them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeAlias


class Added(NamedTuple):
    """What was added to a file, which then had this size."""

    size: int
    data: bytes


Names: TypeAlias = Collection[str] | Mapping[str, Added | None]
"""Which files changed; who is told of changes may know what was added to one."""
