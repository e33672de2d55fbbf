"""Whatever is sent to an address of our OpenAPI document, a real server never answers with a 5xx."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from tests.support.served_process import ROUTES, Server, serving_process

#: For each address, method and mode; another run looks at other examples.
EXAMPLES = 6
ANSWER_SECONDS = 20
#: Measures whatever host the caller names, and reads the directory again: other tests are about these.
LEFT_OUT = ("/probe", "/-/reload")
DECLARED = """\
heartbeats: [{id: backup, every: 1h}]
webhooks: [{id: zabbix, labels: {alertname: $.name}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("openapi") / "chain"
    with serving_process(root, routes=ROUTES + DECLARED) as running:
        yield running


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as documented", "otherwise"])
def test_no_request_breaks_the_server(server: Server, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{server.address}/api/openapi.json")
    answers: Counter[int] = Counter()
    broken: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in LEFT_OUT:
            continue

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case) -> None:
            answer = case.call(timeout=ANSWER_SECONDS)
            answers[answer.status_code] += 1
            if answer.status_code >= 500:
                broken.append(f"{answer.status_code} {case.as_curl_command()}: {answer.text[:200]}")

        try:
            send()
        except Unsatisfiable:
            # Nothing about this address can be said in a way that is not documented.
            assert mode is GenerationMode.NEGATIVE, operation.label
    assert broken == []
    assert sum(answers.values()) > 100, answers
    assert answers[200] > 0, answers
