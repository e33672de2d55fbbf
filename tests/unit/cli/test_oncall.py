"""oncall now, oncall list: whose turn it is, from the chain directory alone."""

from pathlib import Path

from tests.unit.cli.conftest import Run

ONCALL = """\
people:
  - {id: li, name: {en: Li Na, zh: 李娜}, channels: [ops]}
  - {id: wang, name: {en: Wang Wei, zh: 王伟}, channels: [ops]}
rotas:
  - {id: primary, rotations: [{every: weekly, start: 2026-01-05, members: [li, wang]}]}
  - id: nights
    rotations: [{start: 2026-01-05, members: [wang], restrictions: [{hours: "22:00-08:00"}]}]
"""


ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [ops]}]\n"


def declare(chain: Path, text: str = ONCALL) -> None:
    (chain / "alerts/oncall.yaml").write_text(text, encoding="utf-8")
    (chain / "alerts/routes.yaml").write_text(ROUTES, encoding="utf-8")


def test_now_names_the_person_until_when_and_who_is_next(run: Run, chain: Path) -> None:
    declare(chain)
    ended = run("-C", chain, "oncall", "now", "primary", "--at", "2026-01-06T10:00", "--json")
    assert ended.code == 0
    assert ended.document == [
        {
            "rota": "primary",
            "person": "li",
            "name": "李娜",
            "why": "rotation",
            "from": "2026-01-05T09:00:00+08:00",
            "until": "2026-01-12T09:00:00+08:00",
            "next": {
                "rota": "primary",
                "person": "wang",
                "name": "王伟",
                "why": "rotation",
                "from": "2026-01-12T09:00:00+08:00",
                "until": "2026-01-19T09:00:00+08:00",
            },
        }
    ]


def test_a_rota_without_anybody_is_a_problem_found(run: Run, chain: Path) -> None:
    declare(chain)
    ended = run("-C", chain, "--lang", "en", "oncall", "now", "--at", "2026-01-06T10:00")
    assert ended.code == 1
    assert ended.err == "nobody is on call: nights\n"
    assert "Li Na" in ended.out


def test_list_shows_the_turns_and_the_hours_that_are_nobodys(run: Run, chain: Path) -> None:
    declare(chain)
    ended = run("-C", chain, "oncall", "list", "nights", "--days", "1", "--at", "2026-01-06T12:00", "--json")
    assert [(turn["person"], turn["from"][11:16], turn["until"][11:16]) for turn in ended.document] == [
        ("", "12:00", "22:00"),
        ("wang", "22:00", "08:00"),
        ("", "08:00", "12:00"),
    ]


def test_a_time_that_is_none_and_a_rota_there_is_not_are_refused(run: Run, chain: Path) -> None:
    declare(chain)
    assert run("-C", chain, "oncall", "now", "--at", "soon").code == 2
    ended = run("-C", chain, "oncall", "now", "primry")
    assert (ended.code, ended.err) == (2, "unknown rota 'primry'; did you mean 'primary'?\n")


def test_check_reports_the_gaps(run: Run, chain: Path) -> None:
    declare(chain)
    ended = run("-C", chain, "check")
    assert ended.code == 2
    assert "alerts/oncall.yaml:6:9: rota 'nights': nobody is on call" in ended.err


def test_a_chain_without_rotas_says_nothing(run: Run, chain: Path) -> None:
    declare(chain, "people: []\n")
    ended = run("-C", chain, "oncall", "now", "--json")
    assert (ended.code, ended.document) == (0, [])
