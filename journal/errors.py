"""One tree of errors. Each says what happened, where, and what to do; its attributes carry the same facts."""


class JournalError(Exception):
    """Base of all errors of this library."""


class SessionNotFoundError(JournalError, LookupError):
    """There is no such session, or no such version of it."""

    def __init__(self, session_id: str, detail: str = "create it first", *, exists: bool = False) -> None:
        what = "has no such point" if exists else "was not found"
        super().__init__(f"session {session_id!r} {what}; {detail}")
        self.session_id = session_id


class VersionConflictError(JournalError):
    """The writer had not seen the latest version; nothing was written."""

    def __init__(self, session_id: str, version: int, expected: int, what: str | None = None) -> None:
        found = f"is at version {version}, expected {expected}"
        if version == expected:
            found = f"is at version {version}, but not the one that was loaded: deleted or rewritten since"
        advice = "Load it again, decide again, retry."
        if what is not None:
            found = f"is at version {version}: since it was looked at, another writer set {what}"
        elif expected == 0 and version:
            found, advice = f"is there already, at version {version}", "Load it, or choose another id."
        super().__init__(f"session {session_id!r} {found}; nothing was written. {advice}")
        self.session_id = session_id
        self.version = version
        self.expected = expected


class OutcomeUnknownError(JournalError):
    """A tool was called, and then the program ended before its outcome was on record: it may have run."""

    def __init__(self, session_id: str, call_id: str, name: str, version: int) -> None:
        super().__init__(
            f"session {session_id!r}, record {version}: the tool {name!r} was called as {call_id!r} and its "
            "outcome is unknown: it may have run. Find out, then say so with `settle`, or open the session "
            "with on_unknown='retry' or 'fail'."
        )
        self.session_id = session_id
        self.call_id = call_id
        self.name = name
        self.version = version


class NondeterminismError(JournalError):
    """A step was asked for with other arguments than the ones on record; it did not run."""

    def __init__(self, key: str, recorded: object, asked: object) -> None:
        super().__init__(
            f"{key} is on record with the arguments {recorded!r}, and was asked for with {asked!r}; it did "
            "not run. A step's arguments may depend only on messages and on results of earlier steps; give "
            "steps that run side by side, or another piece of work, a `scope` of their own."
        )
        self.key = key
        self.recorded = recorded
        self.asked = asked


class RecordedError(JournalError):
    """A step or a tool failed in an earlier run; this is its error, from the record. It did not run again.

    An error of a built-in type, as ValueError, comes back as that type instead.
    """

    def __init__(self, name: str, error_type: str, error: str) -> None:
        super().__init__(f"{name} failed in an earlier run with {error_type}: {error}")
        self.name = name
        self.error_type = error_type
        self.error = error


class OwnerMismatchError(JournalError):
    """The session belongs to another user; nothing was read out or written."""

    def __init__(self, session_id: str, user_id: str) -> None:
        super().__init__(
            f"session {session_id!r} does not belong to user {user_id!r}; "
            "nothing was read out or written. Use the owner's user id, or another session id."
        )
        self.session_id = session_id
        self.user_id = user_id


class InvalidNameError(JournalError, ValueError):
    """An id, a category or a name that is not safe in a file system; nothing was touched."""

    def __init__(self, kind: str, name: object, reason: str) -> None:
        super().__init__(f"{kind} {name!r} {reason}; nothing was touched. Choose another one.")
        self.kind = kind
        self.name = name
        self.reason = reason


class InvalidEventError(JournalError, ValueError):
    """An event that cannot be stored exactly; nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; nothing was written")
        self.reason = reason


class CorruptRecordError(JournalError):
    """A journal is damaged where a record was acknowledged, or it was altered.

    Reads before `seq` still work; writing is refused until a person decides.
    """

    def __init__(self, path: str, offset: int, seq: int, reason: str) -> None:
        super().__init__(
            f"{path}, byte {offset}, record {seq}: {reason}. Records before it can be read; "
            "writing is refused. See `journal verify`, then decide with `journal repair`."
        )
        self.path = path
        self.offset = offset
        self.seq = seq
        self.reason = reason


class CorruptSnapshotError(JournalError):
    """A session file of another program does not parse, and no journal stands beside it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is no session file: {reason}. It was left as it is; mend it, or move it away."
        )
        self.path = path
        self.reason = reason


class DurabilityError(JournalError):
    """The disk refused. `outcome_unknown` tells whether the change may be there all the same."""

    def __init__(self, path: str, reason: str, *, outcome_unknown: bool, advice: str | None = None) -> None:
        if advice is not None:
            pass
        elif outcome_unknown:
            advice = "whether the change is on disk is unknown. Load again to see, or retry the same save"
        else:
            advice = "nothing was written and the file is as before. Make room or mend the disk, then retry"
        super().__init__(f"{path}: {reason}; {advice}.")
        self.path = path
        self.reason = reason
        self.outcome_unknown = outcome_unknown


class UnreachableError(JournalError):
    """A store on other machines does not answer, or refuses. What was to be written was not."""

    def __init__(self, store: str, reason: str, *, was_writing: bool = False) -> None:
        nothing = "; nothing was written" if was_writing else ""
        super().__init__(f"{store}: {reason}{nothing}")
        self.store = store
        self.reason = reason


class UnsafePathError(JournalError, OSError):
    """Something that is no plain file or folder of the store's own stands in the place of one.

    A link, a pipe, a device: nothing was read or written through it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} {reason}; nothing was read or written through it. "
            "Find out who put it there, and move it away."
        )
        self.path = self.filename = path
        self.reason = self.strerror = reason

    def __str__(self) -> str:
        return str(self.args[0])


class AttachmentError(JournalError):
    """An attachment that is not there, was altered, or is too large. What refers to it is whole."""


class SealError(JournalError):
    """A seal, or a proof, that cannot be made, or that must not be believed. Nothing was changed."""


class InvalidKeyError(JournalError, ValueError):
    """A text that is no key of the kind that is needed here. The error never holds it: it may be a secret."""


class MissingExtraError(JournalError, ImportError):
    """An optional package is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} need the package {package!r}: pip install 'session-journal[{extra}]'")
        self.extra = extra


def unreadable(path: str, error: OSError) -> JournalError:
    """The disk does not give a file: nothing was changed, and the file may be a good one."""
    return JournalError(f"{path} could not be read: {error.strerror}; mend the disk, then try again")


class JournalClosedError(JournalError):
    """The store was closed, or it was opened before a fork of the process."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; nothing was written. Open it anew.")


class JournalWarning(UserWarning):
    """Something was repaired or set aside; nothing was lost. The text says what and where."""
