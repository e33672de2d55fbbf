"""What a database driver's error means: one of our errors, with a cause and without a secret."""

from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceUnavailable, TillwatchError

_MAX_WORDS_CHARACTERS = 300

_POSTGRESQL_STATES = {
    "28": Cause.AUTH,
    "3D": Cause.DATA,
    "42P": Cause.DATA,
    "42703": Cause.DATA,
    # A function it does not have: the dataset is there, only a statement of ours cannot run.
    "42883": Cause.APPLICATION,
    "42501": Cause.AUTHZ,
    "57014": Cause.TIMEOUT,
    "53300": Cause.THROTTLE,
    "08": Cause.TCP,
    "57P": Cause.TCP,
}
_MYSQL_NUMBERS = {
    1045: Cause.AUTH,
    1698: Cause.AUTH,
    1044: Cause.AUTHZ,
    1142: Cause.AUTHZ,
    1143: Cause.AUTHZ,
    1049: Cause.DATA,
    1054: Cause.DATA,
    1146: Cause.DATA,
    1305: Cause.APPLICATION,
    1040: Cause.THROTTLE,
    1203: Cause.THROTTLE,
    1205: Cause.TIMEOUT,
    1969: Cause.TIMEOUT,
    3024: Cause.TIMEOUT,
    2006: Cause.TCP,
    2013: Cause.TCP,
}
#: A failed connection has no code, only words; the server may say them in Chinese. First match wins.
_WORDS = (
    (("password authentication failed", "认证失败", "验证失败", "no password supplied", 'role "'), Cause.AUTH),
    (("no pg_hba.conf entry",), Cause.AUTHZ),
    (("translate host name", "resolve", "getaddrinfo", "name or service not known", "nodename"), Cause.DNS),
    (("timeout expired", "timed out", "connection timeout"), Cause.TIMEOUT),
    (("ssl", "certificate"), Cause.TLS),
    (("too many connections", "too many clients", "remaining connection slots"), Cause.THROTTLE),
    (("no such table", "no such column", "does not exist", "unknown database", "unknown column"), Cause.DATA),
    (("database is locked", "database table is locked"), Cause.TIMEOUT),
    (("not a database", "malformed", "disk image"), Cause.APPLICATION),
    (
        ("unable to open", "refused", "unreachable", "lost connection", "closed the connection", "no such file"),
        Cause.TCP,
    ),
)
_ADVICE = {
    Cause.AUTH: "check user and password; they are not tried again until they change",
    Cause.AUTHZ: "grant this user SELECT on what the dataset names",
    Cause.DNS: "check the host name in the url",
    Cause.TCP: "check that the database runs and that address, port or path in the url are right",
    Cause.TLS: "check the certificate, or write ?sslmode=… in the url on purpose",
    Cause.TIMEOUT: "look for a stuck or long transaction, or raise timeout_seconds",
    Cause.THROTTLE: "too many connections; free some or ask later",
    Cause.DATA: "compare the dataset with the database",
}


def translated(error: SQLAlchemyError, *, system: str, place: str, secrets: Sequence[str]) -> TillwatchError:
    """The error to raise in place of `error`; `place` is the database's URL without its password."""
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in secrets:
        if secret:
            words = words.replace(secret, "***")
    words = words[:_MAX_WORDS_CHARACTERS]
    cause = _cause(error, words.lower())
    message = f"system {system!r} at {place} could not be read: {words}" + (
        f"; {_ADVICE[cause]}" if cause in _ADVICE else ""
    )
    if cause is Cause.AUTH:
        return AuthRefused(message)
    if cause is Cause.DATA:
        return SchemaMismatch(message)
    if cause in {Cause.AUTHZ, Cause.APPLICATION}:
        refusal = SourceError(message)
        refusal.cause = cause
        return refusal
    return SourceUnavailable(message, cause=cause)


def _cause(error: SQLAlchemyError, words: str) -> Cause:
    if isinstance(error, PoolTimeout):
        return Cause.THROTTLE
    if isinstance(error, NoSuchModuleError):
        return Cause.APPLICATION
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    for length in (5, 3, 2):
        if state[:length] in _POSTGRESQL_STATES and len(state) >= length:
            return _POSTGRESQL_STATES[state[:length]]
    arguments = getattr(original, "args", ())
    if arguments and arguments[0] in _MYSQL_NUMBERS:
        return _MYSQL_NUMBERS[arguments[0]]
    for needles, cause in _WORDS:
        if any(needle in words for needle in needles):
            return cause
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Cause.TCP
    return Cause.APPLICATION
