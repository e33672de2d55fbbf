"""Taking secrets out of text before anybody reads or stores it."""

import re
from collections.abc import Sequence

HIDDEN = "***"
#: Shorter values would turn every `a` of a log into stars; such a password protects nothing anyway.
MIN_SECRET_CHARACTERS = 4

# Every repetition is bounded, or anchored at something rare: a long text must cost linear, not quadratic, time.
_URL_USER = re.compile(r"(?P<scheme>://)[^/\s@'\"]{1,512}@")
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|session[_-]?id)"
)
_PAIR = re.compile(
    rf"""(?P<name>{_NAMES})(?P<sep>["']?\s*[=:]\s*)(?P<quote>["']?)(?P<value>[^\s"'&,;}}\]]+)""", re.IGNORECASE
)
#: `--password hunter2`: the value is the next word.
_FLAG = re.compile(rf"(?P<flag>(?<!\S)--?[\w-]{{0,40}}{_NAMES})(?P<sep>\s+)(?P<value>[^\s-]\S*)", re.IGNORECASE)
#: These take `-pSECRET` as one word.
_JOINED_PASSWORD_PROGRAM = re.compile(r"(?:^|/)(?:mysql|mariadb|mysqldump|mysqladmin|mariadb-\w+|sshpass)$")
_AUTHORIZATION = re.compile(
    r"(?P<name>(?:proxy-)?authorization|cookie|set-cookie)(?P<sep>[\"']?\s*[:=]\s*)(?P<value>[^\r\n]+)", re.IGNORECASE
)


def scrub(text: str, secrets: Sequence[str] = ()) -> str:
    """`text` without the values in `secrets` and without whatever looks like a credential (URL users, `password=…`,
    `--token …`, authorization and cookie headers)."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET_CHARACTERS:
            text = text.replace(secret, HIDDEN)
    text = _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\g<name>\g<sep>{HIDDEN}", text)
    text = _FLAG.sub(rf"\g<flag>\g<sep>{HIDDEN}", text)
    return _PAIR.sub(rf"\g<name>\g<sep>\g<quote>{HIDDEN}", text)


def scrub_argv(argv: Sequence[str]) -> list[str]:
    """An argument list with the values of secret-looking options hidden; each stays its own element."""
    shown: list[str] = []
    hide_next = False
    joined_password = bool(argv) and _JOINED_PASSWORD_PROGRAM.search(argv[0]) is not None
    for argument in argv:
        if hide_next and not argument.startswith("-"):
            shown.append(HIDDEN)
            hide_next = False
            continue
        if joined_password and re.fullmatch(r"-p.+", argument):
            shown.append(f"-p{HIDDEN}")
            continue
        hide_next = bool(re.fullmatch(rf"--?[\w-]{{0,40}}{_NAMES}", argument, re.IGNORECASE))
        shown.append(scrub(argument))
    return shown
