"""What the prober suites share."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.support.endpoints import Authority, http_server, send, serving


@pytest.fixture
def secure(authority: Authority) -> Iterator[Callable[[str, int], int]]:
    """`secure(name, days)`: the port of an HTTPS server whose certificate ends in that many days."""
    with ExitStack() as stack:

        def start(name: str, days: int) -> int:
            context: ssl.SSLContext = authority.issue(name, days=days)
            return stack.enter_context(serving(http_server(lambda handler: send(handler, 200, "ok"), tls=context)))

        yield start


@pytest.fixture
def tls_port(secure: Callable[[str, int], int], authority: Authority) -> Callable[[], tuple[int, str]]:
    """The port of a healthy TLS server and the authority to trust."""
    return lambda: (secure("healthy", 365), str(authority.ca_file))
