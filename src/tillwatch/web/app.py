"""The web application: routes, guard, errors. Everything it calls comes in as `Services`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import tillwatch
from tillwatch.errors import RefusedError
from tillwatch.web import errors_shown
from tillwatch.web.api import (
    alertmanager,
    audits,
    channels,
    hooks,
    incidents,
    oncall,
    operations,
    overview,
    probes,
    runbooks,
    silences,
    validations,
)
from tillwatch.web.assets import load_assets
from tillwatch.web.intake import Intake
from tillwatch.web.live import Pulse
from tillwatch.web.pages import ack as ack_pages
from tillwatch.web.pages import audits as audit_pages
from tillwatch.web.pages import channels as channel_pages
from tillwatch.web.pages import deliveries as delivery_pages
from tillwatch.web.pages import frame as frame_pages
from tillwatch.web.pages import incidents as incident_pages
from tillwatch.web.pages import oncall as oncall_pages
from tillwatch.web.pages import overview as overview_pages
from tillwatch.web.pages import probes as probe_pages
from tillwatch.web.pages import runbooks as runbook_pages
from tillwatch.web.pages import runs as run_pages
from tillwatch.web.pages import silences as silence_pages
from tillwatch.web.pages import validations as validation_pages
from tillwatch.web.render import Pages
from tillwatch.web.security import Guard, Policy, is_loopback
from tillwatch.web.services import Services

API = (
    overview,
    probes,
    incidents,
    oncall,
    audits,
    validations,
    runbooks,
    alertmanager,
    silences,
    channels,
    hooks,
    operations,
)
PAGES = (
    overview_pages,
    incident_pages,
    oncall_pages,
    audit_pages,
    validation_pages,
    runbook_pages,
    run_pages,
    probe_pages,
    silence_pages,
    delivery_pages,
    channel_pages,
    ack_pages,
    frame_pages,
)


def create_app(services: Services) -> FastAPI:
    """Build the application. Raises RefusedError when it would be open to other machines without a token."""
    listen = services.config.listen
    loopback = is_loopback(listen.host)
    if not loopback and not services.token:
        raise RefusedError(
            f"tillwatch.yaml: listen.host is {listen.host}, which other machines can reach, and no token is set; "
            "set the environment variable TILLWATCH_TOKEN, or listen on 127.0.0.1"
        )
    pulse = Pulse(services.records, services.clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        pulse.close()

    app = FastAPI(
        title="Tillwatch",
        version=tillwatch.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.pages = Pages(services, load_assets())
    app.state.pulse = pulse
    for module in (*API, *PAGES):
        app.include_router(module.router)
    errors_shown.install(app)
    app.add_middleware(Intake, ingest=services.ingest, failed=errors_shown.failed)
    app.add_middleware(
        Guard,
        policy=Policy(loopback=loopback, token=services.token),
        refuse=errors_shown.refuse,
        broken=errors_shown.broken,
    )
    return app
