"""Which ids, categories and names are safe to become paths."""

from journal.errors import InvalidNameError

# A file name holds 255 bytes on the file systems that we know; endings and temporary names need some.
MAX_NAME_BYTES = 200
SESSIONS = "sessions"


def check_session_id(session_id: str) -> str:
    """Return the id if it is safe as a file name, else raise InvalidNameError."""
    return _check_part("session id", session_id, session_id)


def is_session_id(session_id: str) -> bool:
    """Whether `check_session_id` accepts it."""
    try:
        check_session_id(session_id)
    except InvalidNameError:
        return False
    return True


def check_name(name: str) -> str:
    """Return a document's name if it is safe as a file name, else raise InvalidNameError."""
    return _check_part("name", name, name)


def check_category(category: str) -> str:
    """Return a category, which may be nested with `/`, if it is safe, else raise InvalidNameError."""
    if not isinstance(category, str) or not category:
        raise InvalidNameError("category", category, "is empty")
    for part in category.split("/"):
        if not part:
            raise InvalidNameError("category", category, "has a leading, trailing or double slash")
        _check_part("category", category, part)
    return category


def _check_part(kind: str, whole: str, part: str) -> str:
    if not isinstance(part, str):
        raise InvalidNameError(kind, whole, "is not a text")
    if not part:
        raise InvalidNameError(kind, whole, "is empty")
    # Most ids are plain: one test answers for them.
    if part.isascii() and part.replace("-", "").replace("_", "").isalnum() and len(part) <= MAX_NAME_BYTES:
        return part
    if "/" in part or "\\" in part:
        raise InvalidNameError(kind, whole, "has a slash or a backslash")
    if ".." in part:
        raise InvalidNameError(kind, whole, "has two dots in a row")
    if part.startswith("."):
        raise InvalidNameError(kind, whole, "begins with a dot")
    if any(ord(character) < 32 or ord(character) == 127 for character in part):
        raise InvalidNameError(kind, whole, "has a control character")
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise InvalidNameError(kind, whole, "is not valid Unicode") from None
    if size > MAX_NAME_BYTES:
        raise InvalidNameError(kind, whole, f"is {size} bytes long, over {MAX_NAME_BYTES}")
    return part
