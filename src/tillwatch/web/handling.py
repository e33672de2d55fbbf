"""What handlers share: who they talk to, how a form is read, and which status an error gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Path, Request

from tillwatch.errors import (
    ConfigError,
    RefusedError,
    SourceError,
    StoreError,
    TillwatchError,
    UnavailableError,
    UsageError,
)
from tillwatch.web.render import MAX_ACTOR_CHARACTERS, Pages
from tillwatch.web.security import CSRF_COOKIE, SAFE_METHODS, csrf_matches
from tillwatch.web.services import Services

#: A note is a few sentences; a log belongs into an attachment.
MAX_TEXT_CHARACTERS = 4000
#: More fields than any of our forms has.
MAX_FORM_FIELDS = 100
#: Lists are paged; nobody reads more at once, and no request may ask for more.
PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
#: Identities are 64-bit in both databases; a larger number cannot exist and must not reach them.
MAX_ID = 2**63 - 1


class NotHere(UsageError):
    """The address names something that does not exist; unlike a wrong value in what was sent."""


class FormError(TillwatchError):
    """Something in a form is missing or wrong; `key` is the message id for the reader."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, kw_only=True)
class Form:
    """Fields of a form that carried our token. Text is trimmed and bounded, control characters are gone."""

    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """A field that must not be empty."""
        value = self.optional(name)
        if not value:
            raise FormError("error.name_missing" if name == "actor" else "error.text_missing")
        return value

    def optional(self, name: str) -> str:
        return cleaned(self.fields.get(name, ""), MAX_ACTOR_CHARACTERS if name == "actor" else MAX_TEXT_CHARACTERS)

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Fields whose name starts with `prefix`, without it; empty ones are left out."""
        return {
            name.removeprefix(prefix): cleaned(value, MAX_TEXT_CHARACTERS)
            for name, value in self.fields.items()
            if name.startswith(prefix) and value.strip()
        }


def cleaned(value: str, limit: int) -> str:
    """Trimmed, bounded, and without control characters that databases or terminals choke on."""
    kept = "".join(character for character in value if character in "\n\t" or character.isprintable())
    return kept.strip()[:limit]


def pages_of(request: Request) -> Pages:
    return cast(Pages, request.app.state.pages)


def services_of(request: Request) -> Services:
    return pages_of(request).services


async def checked_form(request: Request) -> Form:
    """The form, once it proved to come from one of our pages."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the form as application/x-www-form-urlencoded.")
    text = (await request.body()).decode("utf-8", "replace")
    try:
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"The form has more than {MAX_FORM_FIELDS} fields.") from error
    if not csrf_matches(request.cookies.get(CSRF_COOKIE), fields.get("csrf", "")):
        raise FormError("error.csrf")
    return Form(fields=fields)


def _found(question: Callable[[int], object], number: int) -> int:
    try:
        question(number)
    except UsageError as error:
        raise NotHere(str(error)) from error
    return number


def existing_incident(request: Request, incident: Annotated[int, Path(ge=1, le=MAX_ID)]) -> int:
    """The incident an order is about; NotHere before anything is done when there is none."""
    return _found(services_of(request).records.incident, incident)


def existing_run(request: Request, run: Annotated[int, Path(ge=1, le=MAX_ID)]) -> int:
    """The run an order is about; NotHere before anything is done when there is none."""
    return _found(services_of(request).runbooks.get, run)


def existing_report(request: Request, run: Annotated[int, Path(ge=1, le=MAX_ID)]) -> int:
    """The audit run an order is about; NotHere before anything is done when there is none."""
    return _found(lambda number: services_of(request).records.audit_report(number, differences=0), run)


ReportHere = Annotated[int, Depends(existing_report)]
IncidentHere = Annotated[int, Depends(existing_incident)]
RunHere = Annotated[int, Depends(existing_run)]
PagesHere = Annotated[Pages, Depends(pages_of)]
ServicesHere = Annotated[Services, Depends(services_of)]
FormHere = Annotated[Form, Depends(checked_form)]


def status_of(error: TillwatchError, method: str) -> HTTPStatus:
    """An unknown id in an address is 404; the same complaint about something sent is 422."""
    match error:
        case FormError(key="error.csrf"):
            return HTTPStatus.FORBIDDEN
        case FormError() | ConfigError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case NotHere():
            return HTTPStatus.NOT_FOUND
        case UsageError():
            return HTTPStatus.NOT_FOUND if method in SAFE_METHODS else HTTPStatus.UNPROCESSABLE_ENTITY
        case RefusedError():
            return HTTPStatus.CONFLICT
        case StoreError() | UnavailableError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case SourceError():
            return HTTPStatus.BAD_GATEWAY
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR


def wants_json(path: str) -> bool:
    """Programs get JSON, people get pages."""
    return path.startswith(("/api/", "/hooks/", "/metrics", "/probe?", "/-/")) or path == "/probe"


async def raw_body(request: Request) -> bytes:
    """The bytes as they came; the guard has bounded them."""
    return await request.body()


BodyHere = Annotated[bytes, Depends(raw_body)]
