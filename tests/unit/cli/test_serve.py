"""`tillwatch serve`: where it listens, and the token it asks for."""

import dataclasses
import socket
from pathlib import Path

import pytest
from tests.support.audits import chain

from tillwatch.cli.serve import _bound, _token
from tillwatch.errors import UnavailableError, UsageError


def test_the_token_comes_from_the_environment_or_from_the_file_it_names(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n", encoding="utf-8")
    assert _token({}) == ""
    assert _token({"TILLWATCH_TOKEN": "direct"}) == "direct"
    assert _token({"TILLWATCH_TOKEN": "direct", "TILLWATCH_TOKEN_FILE": str(file)}) == "from-file"


def test_a_token_file_that_is_not_there_is_an_error_not_an_open_door(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TILLWATCH_TOKEN_FILE"):
        _token({"TILLWATCH_TOKEN_FILE": str(tmp_path / "nothing")})


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = chain()
        listen = config.listen.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(UnavailableError, match=r"cannot listen on 127\.0\.0\.1:.* give --port"):
            _bound(dataclasses.replace(config, listen=listen))
