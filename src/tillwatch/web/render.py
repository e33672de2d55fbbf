"""From a template and values to an answer in the reader's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from urllib.parse import quote, unquote

import nh3
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import tillwatch
from tillwatch.audit.sentences import how, reason
from tillwatch.errors import TillwatchError
from tillwatch.web.assets import Asset
from tillwatch.web.formats import Formats
from tillwatch.web.language import LANGUAGE_COOKIE, Texts, canonical, negotiate, texts
from tillwatch.web.security import CSRF_COOKIE, new_csrf_token
from tillwatch.web.services import Health, Services
from tillwatch.web.views.checks import messages_of
from tillwatch.web.views.levels import TABLES, of_report

ACTOR_COOKIE = "tillwatch_actor"
#: A year: the language and the name on one's own phone.
PREFERENCE_SECONDS = 365 * 24 * 3600
MAX_ACTOR_CHARACTERS = 64
#: Longer Markdown is not read during an incident and costs more than linear time to parse.
MAX_MARKDOWN_CHARACTERS = 16 * 1024

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN_TAGS = {
    "p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "br", "hr", "a",
    "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def markdown(text: str) -> Markup:
    """An author's Markdown as safe HTML: no raw HTML, no images, links only to http and https."""
    html = _MARKDOWN.render(text[:MAX_MARKDOWN_CHARACTERS])
    return Markup(nh3.clean(html, tags=_MARKDOWN_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https"}))


@cache
def environment() -> Environment:
    """One for the process, since templates compile slowly. Escapes everything; an undefined name is an error."""
    made = Environment(
        loader=PackageLoader("tillwatch.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["markdown"] = markdown
    made.filters["reason"] = reason
    made.filters["how"] = how
    made.filters["decimal"] = Decimal
    made.globals["levels"] = TABLES
    made.globals["level_of"] = of_report
    made.globals["said"] = messages_of
    return made


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads: language, formats, remembered name, and the token their forms carry."""

    t: Texts
    f: Formats
    actor: str
    csrf: str
    #: Set when the cookie has to be sent.
    new_csrf: bool
    chosen_language: str | None


class Pages:
    """Renders templates. Holds no state of its own between requests."""

    def __init__(self, services: Services, assets: Mapping[str, Asset]) -> None:
        self.services = services
        self._environment = environment()
        self._assets = assets
        self.started_at = services.clock.now()

    def reader(self, request: Request) -> Reader:
        chosen = canonical(request.query_params.get("lang", ""))
        chain = self.services.config.chain
        language = negotiate(chosen, request.cookies.get(LANGUAGE_COOKIE), chain.locale)
        t = texts(language)
        token = request.cookies.get(CSRF_COOKIE)
        return Reader(
            t=t,
            f=Formats(t=t, zone=chain.timezone, currency=chain.currency, now=self.services.clock.now()),
            actor=unquote(request.cookies.get(ACTOR_COOKIE, ""))[:MAX_ACTOR_CHARACTERS],
            csrf=token or new_csrf_token(),
            new_csrf=not token,
            chosen_language=chosen,
        )

    def html(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        *,
        reader: Reader | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        bare: bool = False,
    ) -> Response:
        """The page. Frame values never fail: a page about a broken store must render with a broken store.

        `bare` is for readers who have not signed in: nothing about the state of the chain stands in the frame.
        """
        who = reader or self.reader(request)
        open_count, store_ok = (0, True) if bare else self._open_count()
        body = self._environment.get_template(template).render(
            {
                **values,
                "t": who.t,
                "f": who.f,
                "reader": who,
                "here": request.url.path,
                "chain_name": who.t.name(self.services.config.chain.name, self.services.config.chain.id),
                "person_names": {one.id: who.t.name(one.name, one.id) for one in self.services.config.people},
                "assets": self._assets,
                "open_count": open_count,
                "store_ok": store_ok,
                "troubles": [] if bare else self._troubles(),
                "bare": bare,
                "done": _done(request, who.t),
                "other_language": _other_language(request, who.t),
                "version": tillwatch.__version__,
            }
        )
        response = HTMLResponse(body, status_code=status)
        secure = request.url.scheme == "https"
        if who.chosen_language:
            _remember(response, LANGUAGE_COOKIE, who.chosen_language, secure=secure)
        if who.new_csrf:
            response.set_cookie(CSRF_COOKIE, who.csrf, httponly=True, samesite="lax", secure=secure, path="/")
        return response

    def redirect(self, request: Request, url: str, *, actor: str = "") -> Response:
        """After a form: see the result, and a reload repeats nothing. The name is remembered for the next form."""
        response = RedirectResponse(url, status_code=HTTPStatus.SEE_OTHER)
        if actor:
            # Cookie values are ASCII, names are not.
            _remember(response, ACTOR_COOKIE, quote(actor), secure=request.url.scheme == "https")
        return response

    @property
    def now(self) -> datetime:
        return self.services.clock.now()

    def _open_count(self) -> tuple[int, bool]:
        try:
            return len(self.services.records.open_incidents()), True
        except TillwatchError:
            return 0, False

    def _troubles(self) -> list[Health]:
        return [loop for loop in self.services.watch.loops() if loop.problem]


def _remember(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(name, value, max_age=PREFERENCE_SECONDS, samesite="lax", secure=secure, path="/")


def _done(request: Request, t: Texts) -> str:
    """The notice after an order. Only our own words are ever shown, never text out of the address."""
    key = f"done.{request.query_params.get('done', '')}"
    return t(key) if t.has(key) else ""


def _other_language(request: Request, t: Texts) -> str:
    """The same page in the other language."""
    other = "en" if t.language != "en" else "zh-CN"
    return "?" + str(request.url.include_query_params(lang=other).query)
