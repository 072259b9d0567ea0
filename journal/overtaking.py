"""Being overtaken: on another machine somebody changed a session between a look at it and the write."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Overtaken(Exception):
    """Nothing was written. Look again, decide again, write again."""


def until_current(call: Callable[P, T]) -> Callable[P, T]:
    """What a call returns that looks, decides and writes; made again as long as it is overtaken.

    Somebody got through each time, so all together get on. A folder's lock lets nobody overtake.
    """

    @functools.wraps(call)
    def again(*arguments: P.args, **options: P.kwargs) -> T:
        while True:
            try:
                return call(*arguments, **options)
            except Overtaken:
                continue

    return again
