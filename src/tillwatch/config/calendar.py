"""What `alerts/calendar.yaml` declares: nights and days on which the same trouble is worth less, or more."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field as Key
from pydantic import model_validator

from tillwatch.config.oncall import Day
from tillwatch.config.strict import Strict
from tillwatch.config.values import Hours, Id, MatcherText, Text


class Window(Strict):
    """A time that changes what an alert is worth, or whether a runbook may start by itself.

    One span (`from` and `until`), or a recurring one: `days`, `month_end`, `hours`, all of which must hold.
    """

    id: Id
    name: Text = {}
    #: Without an offset in the chain's zone.
    from_: Annotated[datetime | None, Key(alias="from")] = None
    until: datetime | None = None
    days: tuple[Day, ...] = ()
    #: The last so many days of each month.
    month_end: Annotated[int, Key(ge=0, le=15)] = 0
    hours: Hours = ""
    #: Only alerts that all of these match; every alert when there is none.
    matchers: tuple[MatcherText, ...] = ()
    severity: Literal["keep", "raise", "lower"] = "keep"
    automatic_runs: bool = True

    @model_validator(mode="after")
    def _is_a_time(self) -> "Window":
        if (self.from_ is None) != (self.until is None):
            raise ValueError("from and until belong together")
        if self.from_ is None and not (self.days or self.month_end or self.hours):
            raise ValueError("say when: from and until, or days, month_end or hours")
        if self.from_ is not None and (self.days or self.month_end or self.hours):
            raise ValueError("from and until are one span; days, month_end and hours belong to a recurring window")
        return self


class Calendar(Strict):
    """The chain's days and nights."""

    #: `china`: public holidays and the working weekends that make up for them, as the State Council announces them.
    holidays: Literal["none", "china"] = "none"
    #: Nobody is woken then for what is not critical; it waits for the end of the quiet hours.
    quiet_hours: Hours = ""
    #: What alerts of a site are worth outside its opening hours.
    closed: Literal["keep", "lower"] = "keep"
