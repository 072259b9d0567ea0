r"""What secrets look like: the expressions that a redaction begins with.

The shapes of keys are those that their makers and the rules of gitleaks and detect-secrets describe
(https://github.com/gitleaks/gitleaks, https://github.com/Yelp/detect-secrets); the expressions are ours.

Whether one matches must not change when another match is taken out, else a redacted text would have to be
redacted again. So none looks at what follows it, each takes all letters and digits that follow, and what it
asks of the character before is no more than that the word, or the address, begins there. What is taken is
never given back (`++`), and what can fail late begins once in a run of characters: the time is in proportion
to the text, whatever it holds.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Shape(NamedTuple):
    """A kind of secret; an expression; texts, in lower case, of which one is in all that it matches.

    Where the expression has a group `hide`, only that is hidden, else all of it.
    """

    kind: str
    expression: re.Pattern[str]
    needles: tuple[str, ...] = ()


# Where a word begins, also behind the `\n` of a text inside a text.
_EDGE: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
# As above, for what may fail after a long run of these.
_RUN_EDGE: Final = r"(?:(?<![\w-])|(?<=\\[nrt]))"

_API_KEY = rf"""{_EDGE}(?:
    (?: sk- | glpat- ) [A-Za-z0-9_-]{{16,}}+            # OpenAI, Anthropic and their like; GitLab
  | (?: sk | rk ) _ (?: live | test ) _ [A-Za-z0-9]{{16,}}+                                       # Stripe
  | gh[pousr]_ [A-Za-z0-9]{{30,}}+ | github_pat_ [A-Za-z0-9_]{{22,}}+
  | (?: AKIA | ASIA | ABIA | ACCA ) [A-Z0-9]{{16}} [A-Za-z0-9]*+                                     # AWS
  | AIza [A-Za-z0-9_-]{{35,}}+                                                                    # Google
  | (?: xox[abeoprs] | xapp ) - [A-Za-z0-9-]{{10,}}+                                               # Slack
  | (?: hf | npm ) _ [A-Za-z0-9]{{30,}}+ | pypi- [A-Za-z0-9_-]{{50,}}+
  | SG \. [A-Za-z0-9_-]{{16,}}+ \. [A-Za-z0-9_-]{{16,}}+                                        # SendGrid
)"""
_API_KEY_NEEDLES = (
    *("sk-", "glpat-", "sk_", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("akia", "asia", "abia", "acca", "aiza", "xox", "xapp-", "hf_", "npm_", "pypi-", "sg."),
)

_JWT = rf"{_RUN_EDGE}eyJ[A-Za-z0-9_-]{{8,}}+\.[A-Za-z0-9_-]{{8,}}+(?:\.[A-Za-z0-9_-]*+)*+"

# To its last line, or if it was cut off, as far as it looks like one.
_PRIVATE_KEY = r"""
    -----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----
    (?: [A-Za-z0-9+/=\s\\:,.]++ | -(?!----) )*+
    (?: -----END\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----[\w-]*+ )?+
"""

# Between a name and its value: `=`, `: `, `": "`, and the same with the backslashes of a text in a text.
_IS = r"""\\{0,4}["'`]?[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4}"""
_BARE = r"""(?:[^\s"'`\\]|\\(?!["'`\\]))"""


def _value(least: int) -> str:
    """A value in quotes, to the quote that ends it; without quotes, to the next space."""
    return (
        r"""(?:(?P<slash>\\{1,4})?(?P<quote>["'`]))?"""
        r"(?P<hide>(?(quote)(?(slash)(?:(?!\\{0,4}(?P=quote))[^\n])++|(?:(?!(?P=quote))[^\\\n]|\\[^\n])++)"
        rf"|{_BARE}{{{least},}}+))"
    )


_PASSWORD_NAMES: Final = "passw(?:or)?d|passphrase"
_SECRET_NAMES: Final = (
    "secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|access[_-]?key|private[_-]?key"
    "|(?:auth|access|refresh|session|bearer)[_-]?token|credentials?"
)

# In these two, only what is secret is hidden.
_AUTHORIZATION = (
    rf"(?i:(?:authorization{_IS}\\{{0,4}}[\"'`]?(?:(?:bearer|basic|token|digest|apikey)[ \t]{{1,8}})?"
    rf"|bearer[ \t]{{1,8}}(?=[A-Za-z0-9._~+/=-]{{16}})))(?P<hide>{_BARE}{{8,}}+)"
)
_URL_PASSWORD = r"""://[^\s/:@"'`]{0,64}+:(?P<hide>[^\s/@"'`]{1,256}+)@"""

# An address needs a domain of letters at its end: `react@18.2.0` is none.
# What could go on as an address (`a@b.cc.d@e.ff`) goes with it.
_EMAIL = r"(?<![\w.%+-])[.%+-]*+(?P<hide>\w[\w.%+-]*+@(?:[\w-]++\.)+[^\W\d_]{2}[\w-]*+(?:[.%+-]++\w++)*+)"

SHAPES: Final = (
    Shape("private_key", re.compile(_PRIVATE_KEY, re.VERBOSE), ("-----begin ",)),
    Shape("api_key", re.compile(_API_KEY, re.VERBOSE), _API_KEY_NEEDLES),
    Shape("jwt", re.compile(_JWT), ("eyj",)),
    Shape("authorization", re.compile(_AUTHORIZATION), ("authorization", "bearer")),
    Shape("password", re.compile(rf"(?i:{_PASSWORD_NAMES}){_IS}{_value(4)}"), ("passw", "passphrase")),
    Shape("password", re.compile(_URL_PASSWORD), ("://",)),
    Shape(
        "secret",
        re.compile(rf"(?i:{_SECRET_NAMES}|token){_IS}{_value(8)}"),
        ("secret", "key", "token", "credential"),
    ),
    Shape("email", re.compile(_EMAIL), ("@",)),
)

# Names of values that are secret whatever they look like, and how long such a value is at least.
_NAMED: Final = (
    ("password", re.compile(rf"(?i:{_PASSWORD_NAMES})\Z"), 1),
    ("secret", re.compile(rf"(?i:{_SECRET_NAMES})\Z"), 8),
    ("secret", re.compile(r"(?i:token)\Z"), 16),  # shorter ones are a language model's
    ("authorization", re.compile(r"(?i:authorization)\Z"), 8),
)
# Where one of these names is, the needles of one of these are, too.
NAMED_SHAPES: Final = tuple(
    shape for shape in SHAPES if shape.kind in ("password", "secret", "authorization")
)


def secret_by_name(name: str, value: str) -> str | None:
    """The kind of secret that a value is by the name that it has, in an object; None where it is none."""
    for kind, least in _kinds_of(name[-_LONGEST_NAME:]):
        if len(value) >= least:
            return kind
    return None


# No name above is longer.
_LONGEST_NAME: Final = 24


@lru_cache(maxsize=1024)
def _kinds_of(name: str) -> list[tuple[str, int]]:
    return [(kind, least) for kind, expression, least in _NAMED if expression.search(name)]
