"""channel list and channel test."""

import json
from pathlib import Path

from tests.support.receiver import Receiver, answer
from tests.unit.cli.conftest import Run, edit


def test_every_channel_is_listed_with_its_target_and_without_its_secret(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "http://127.0.0.1:9999/hook", "http://user:hunter2hunter2@127.0.0.1:9999/SECRET")
    ended = run("-C", chain, "channel", "list", "--json")
    assert ended.document == [
        {
            "id": "ops",
            "kind": "webhook",
            "name": {"en": "Operations inbox", "zh": "运维收件箱"},
            "target": "http://127.0.0.1:9999/…",
            "receivers": ["ops", "oncall"],
        }
    ]


def test_a_test_message_says_what_the_service_answered(run: Run, chain: Path, receiver: Receiver) -> None:
    edit(chain / "tillwatch.yaml", "127.0.0.1:9999", receiver.address)
    receiver.says(answer(200, "thanks"))
    ended = run("-C", chain, "channel", "test", "ops", "--json")
    assert ended.code == 0
    document = ended.document
    assert (document["channel"], document["result"], document["code"], document["detail"]) == (
        "ops",
        "delivered",
        "200",
        "thanks",
    )
    (request,) = receiver.requests
    sent = json.loads(request.body)
    assert (sent["kind"], sent["title"]) == ("message", "tillwatch 测试消息")
    assert "示例连锁" in sent["body"]


def test_a_channel_that_does_not_work_is_a_found_problem(run: Run, chain: Path, refused_address: str) -> None:
    edit(chain / "tillwatch.yaml", "127.0.0.1:9999", refused_address)
    ended = run("-C", chain, "channel", "test", "ops")
    assert ended.code == 1
    assert ended.out.startswith("ops: rejected (connect) in ")


def test_an_unknown_channel_is_a_usage_error(run: Run, chain: Path) -> None:
    ended = run("-C", chain, "channel", "test", "opps")
    assert (ended.code, ended.err) == (2, "unknown channel 'opps'; did you mean 'ops'?\n")


def test_a_wrong_channel_is_named_at_its_line(run: Run, chain: Path) -> None:
    edit(chain / "tillwatch.yaml", "kind: webhook", "kind: webhok")
    ended = run("-C", chain, "channel", "list")
    assert ended.code == 2
    assert "channel 'ops': unknown kind 'webhok'; did you mean 'webhook'?" in ended.err
    assert ended.err.startswith("tillwatch.yaml:")
