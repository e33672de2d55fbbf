"""What a Tryton system may say, and the words for what it may not."""

import pytest

from tillwatch.config.bind import bind
from tillwatch.config.yaml import parse
from tillwatch.errors import Problem
from tillwatch.sources.tryton import TrytonOptions

GOOD = "url: http://erp:8000\ndatabase: shop\nuser: u\npassword: '0123'\n"


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    bind(parse(text, "tillwatch.yaml"), TrytonOptions, where="system 'erp' (tryton)", problems=problems)
    return [str(problem) for problem in problems]


def test_the_least_a_system_needs_is_read_only_and_frugal() -> None:
    options = bind(parse(GOOD, "f"), TrytonOptions, problems=[])
    assert options is not None
    assert (options.writes, options.requests_per_minute, options.password) == ("disabled", 120, "0123")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("datasets: {a: {model: stock}}", "'model: stock' needs a 'location'"),
        ("datasets: {a: {model: product.product, location: X, columns: {a: b}}}", "only it has one"),
        ("datasets: {a: {model: product.product}}", "needs 'columns'"),
        ("datasets: {a: {model: party.party, reference_prefix: X, columns: {a: b}}}", "go with 'model: sale.sale'"),
        ("datasets: {a: {model: sale.sale, where: {a: b}}}", "'where' goes with 'columns'"),
        ("datasets: {a: {modell: sale.sale}}", "did you mean 'model'"),
        ("writes: yes", "'yes' is not allowed here"),
        ("requests_per_minute: 0", "'0'"),
        ("timezone: Mars", "not a time zone"),
        ("passwort: x", "unknown key 'passwort'; did you mean 'password'?"),
    ],
)
def test_a_mistake_is_named_at_its_place(extra: str, message: str) -> None:
    (problem,) = problems_of(GOOD + extra + "\n")
    assert problem.startswith("tillwatch.yaml:5:")
    assert message in problem


def test_a_url_with_a_password_in_it_is_refused_without_repeating_it() -> None:
    (problem,) = problems_of(GOOD.replace("http://erp:8000", "http://u:s3cret@erp"))
    assert "without user or password" in problem
    assert "s3cret" not in problem
