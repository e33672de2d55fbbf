"""/api/v2/silences: what amtool, karma and Grafana send to mute alerts, with Alertmanager's answers."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from tillwatch.alerting.silences import Draft, NoSuchSilence
from tillwatch.config.matcher import Matcher, Operator, matches_all, parse_matcher
from tillwatch.errors import UsageError
from tillwatch.store.silences import Silence
from tillwatch.web.api import documents
from tillwatch.web.handling import MAX_TEXT_CHARACTERS, ServicesHere, pages_of

router = APIRouter(prefix="/api/v2", tags=["alertmanager"])

#: More matchers than any alert has labels worth naming; each is checked against every alert.
MAX_MATCHERS = 50
MAX_MATCHER_VALUE_CHARACTERS = 1_024

_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII)
_Line = Annotated[str, StringConstraints(max_length=MAX_MATCHER_VALUE_CHARACTERS, pattern=r"^[^\x00]*$")]
_Words = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]
Filters = Annotated[list[str], Query(alias="filter", max_length=MAX_MATCHERS, default_factory=list)]
SilenceId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


class MatcherBody(BaseModel):
    """Alertmanager's matcher; clients older than 0.22 send no `isEqual`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: _Line
    value: _Line
    isRegex: bool
    isEqual: bool = True

    def matcher(self) -> Matcher:
        operators = {
            (False, True): Operator.EQUAL,
            (False, False): Operator.NOT_EQUAL,
            (True, True): Operator.REGEX,
            (True, False): Operator.NOT_REGEX,
        }
        wanted = Matcher(name=self.name, operator=operators[self.isRegex, self.isEqual], value=self.value)
        # What is stored is the text, so it must say the same when it is read again.
        if parse_matcher(str(wanted)) != wanted:
            raise UsageError(f"'{self.name}' is not a label name")
        return wanted


class SilenceBody(BaseModel):
    """Alertmanager's PostableSilence; what newer clients add is let through."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] = ""
    matchers: Annotated[list[MatcherBody], Field(min_length=1, max_length=MAX_MATCHERS)]
    startsAt: AwareDatetime
    endsAt: AwareDatetime
    createdBy: _Words
    comment: _Words
    annotations: Annotated[dict[_Line, _Words], Field(max_length=MAX_MATCHERS)] = {}

    def draft(self) -> Draft:
        return Draft(
            matchers=tuple(one.matcher() for one in self.matchers),
            starts_at=_utc(self.startsAt),
            ends_at=_utc(self.endsAt),
            created_by=self.createdBy,
            comment=self.comment,
            annotations=self.annotations,
        )


@router.get("/silences")
def silences(request: Request, services: ServicesHere, filters: Filters) -> list[documents.Document]:
    """Active ones first, then those to come, then those that ended within the last days."""
    now = pages_of(request).now
    wanted = parsed_filters(filters)
    return [
        document(one, now)
        for one in services.silences.listed()
        if matches_all(wanted, {matcher.name: matcher.value for matcher in one.matchers})
    ]


@router.post("/silences")
def set_silence(services: ServicesHere, body: SilenceBody) -> dict[str, str]:
    """Add a silence or change one. Changing what is in force ends it and answers with a new id."""
    try:
        return {"silenceID": services.silences.set(body.draft(), id=body.id)}
    except NoSuchSilence as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    except UsageError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error


@router.get("/silence/{silence}")
def silence(request: Request, services: ServicesHere, silence: SilenceId) -> documents.Document:
    try:
        return document(services.silences.get(silence), pages_of(request).now)
    except NoSuchSilence as error:
        raise _not_found(silence, error) from error


@router.delete("/silence/{silence}")
def expire(services: ServicesHere, silence: SilenceId) -> None:
    """End it now. One that has ended already stays as it is."""
    try:
        services.silences.expire(silence)
    except NoSuchSilence as error:
        raise _not_found(silence, error) from error


def _not_found(id: str, error: NoSuchSilence) -> HTTPException:
    """Alertmanager's answers: 422 for what cannot be an id, 404 for one that names nothing."""
    status = HTTPStatus.NOT_FOUND if _UUID.fullmatch(id) else HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPException(status, str(error))


def parsed_filters(filters: list[str]) -> list[Matcher]:
    try:
        return [parse_matcher(text) for text in filters]
    except UsageError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"filter: {error}") from error


def document(silence: Silence, now: datetime) -> documents.Document:
    """Alertmanager's GettableSilence."""
    return {
        "id": silence.id,
        "status": {"state": silence.state(now).value},
        "updatedAt": documents.instant(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "startsAt": documents.instant(silence.starts_at),
        "endsAt": documents.instant(silence.ends_at),
        "annotations": dict(silence.annotations),
        "matchers": [
            {
                "name": one.name,
                "value": one.value,
                "isRegex": one.operator in {Operator.REGEX, Operator.NOT_REGEX},
                "isEqual": one.operator in {Operator.EQUAL, Operator.REGEX},
            }
            for one in silence.matchers
        ],
    }


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{instant} is outside the calendar") from error
