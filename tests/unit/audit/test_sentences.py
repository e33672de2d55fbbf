"""Every reason an audit, a repair or an undo can give has a Chinese form."""

import re

import pytest
from tests.support.reasons import Reason, every_reason

from tillwatch.audit.phrases import PHRASES
from tillwatch.audit.sentences import chinese, reason

_REASONS = every_reason()
#: Names that stay as they are: products, strategies, settings.
_NAMES = re.compile(r"PostgreSQL|SQLite|SQL|Polars|ERP|tillwatch|timeout_seconds|timeout|customer|stream|digest")


def test_the_code_is_searched_where_reasons_are_made() -> None:
    modules = {one.where for one in _REASONS}

    assert {"verdict.py", "reading.py", "undoing.py", "plan.py", "pushdown/digest.py", "incremental.py"} <= modules
    assert len(_REASONS) > 80


@pytest.mark.parametrize("one", _REASONS, ids=lambda one: f"{one.where}: {one.text}")
def test_every_reason_has_its_chinese(one: Reason) -> None:
    said = chinese(one.text)

    assert not re.search(r"[A-Za-z]{2,}", _NAMES.sub("", said)), f"add the Chinese of {one.text!r} to phrases.py"


@pytest.mark.parametrize("english", PHRASES)
def test_the_chinese_of_a_sentence_keeps_every_value(english: str) -> None:
    values = [f"<{number}>" for number in range(english.count("{}"))]

    said = chinese(english.replace("{}", "{}").format(*values))

    assert all(said.count(value) == 1 for value in values)
    assert re.search(r"[一-鿿]", said)


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        (
            "nothing was proven before; both databases sum hashes of their rows and what differs is read; "
            "streamed, not compared by digest, because 3 of 9 ranges differ, and in them 800 of 1000 rows",
            "nothing was proven before；两个数据库各自汇总行哈希，只读取有差异的部分；"
            "改为逐行读取，未使用 digest，因为9 个区间中 3 个有差异，其中 1000 行里有 800 行不同",
        ),
        (
            "not finished after 30 s, while waiting for 4 differing rows to settle; "
            "raise the audit's timeout or look at why the side is slow",
            "30 秒后仍未完成，当时正在等待 4 行差异稳定；请增大对账的 timeout，或查明该侧为何缓慢",
        ),
        (
            "not taken back: the sale is 'done': being delivered or invoiced already, so correct it by hand with a "
            "return; the sale was changed after us; correct it by hand",
            "未撤销：销售单状态为 'done'：已在发货或开票，请人工做退货更正；此后有人改动过该销售单；请人工处理",
        ),
    ],
)
def test_sentences_in_sentences_are_translated(english: str, expected: str) -> None:
    assert chinese(english) == expected


def test_what_is_not_ours_stays_as_it_is() -> None:
    said = chinese("erp.orders: connection refused; read twice, so this is no evidence of drift")

    assert said == "erp.orders: connection refused；已读取两次，不能作为差异的证据"


def test_who_reads_english_gets_english() -> None:
    assert reason("both sides agree", "en-GB") == "both sides agree"
    assert reason("both sides agree", "zh-CN") == "两侧一致"
