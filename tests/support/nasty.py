"""Values that systems really hold and that are easily read in two ways, from a seed."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

PIECES = (
    "a", "B", "é", "e\u0301", "商", "品", "Ａ", "１", "👍", "👍🏽", " ", "　", "\t", "'", "\\", "%", ":", ";", "~", "ß",
    "İ", "가", "ﬁ", "0", "00", '"', "\x1f", "\x00", "\xa0", "㎏", "（", "ｶﾞ", "\x85", "ſ", "K", "Σ", "ς", "…", "㍿",
)  # fmt: skip
WORDS = ("1", "0", "true", "True", "t", "是", "否", "真", "YES", " no ", "x", "2", "", " ", "ｙ", "ON", "off ", "\x1fy")


def text(chance: random.Random) -> str:
    """Mostly what codes and names are made of."""
    if chance.random() < 0.5:
        return (
            chance.choice(("SKU", "商品", "00", "Ａ", ""))
            + str(chance.randrange(10**6))
            + chance.choice(("", " ", "。"))
        )
    return "".join(chance.choices(PIECES, k=chance.randrange(9)))


def number(chance: random.Random) -> Decimal:
    """Of any size, often half way between two places."""
    digits = chance.randrange(10 ** chance.randrange(1, 14))
    made = Decimal(digits).scaleb(-chance.randrange(6))
    return -made if chance.random() < 0.3 else made


def wild_number(chance: random.Random) -> Decimal:
    """As a driver may hand it over: exponents, many digits, negative zero, no number at all."""
    return chance.choice((
        number(chance), number(chance), number(chance), Decimal(chance.randrange(10**40)).scaleb(-chance.randrange(35)),
        Decimal("-0"), Decimal("-0.000"), Decimal("1E+3"), Decimal("1E-9"), Decimal("NaN"), Decimal("Infinity"),
        Decimal("9" * 25), Decimal("0." + "4" * 11 + "5"), Decimal("-0.00005"), Decimal("0.5"), Decimal("-2.5"),
    ))  # fmt: skip


def double(chance: random.Random) -> float:
    return chance.choice(
        (float(number(chance)), chance.random(), chance.uniform(-1e18, 1e18), 1e-5, 1e15, 5e-324, -0.0, float("nan"), float("-inf"), 0.5, 2.675)
    )  # fmt: skip


def whole(chance: random.Random) -> int:
    return chance.randrange(-(2 ** chance.randrange(1, 63)), 2 ** chance.randrange(1, 63))


def small(chance: random.Random) -> int:
    return chance.randrange(-1, 3)


def truth(chance: random.Random) -> bool:
    return chance.random() < 0.5


def moment(chance: random.Random) -> datetime:
    start = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock on purpose
    return start + timedelta(seconds=chance.randrange(2**32), microseconds=chance.choice([0, 500, 999_999, 123_456]))


def instant(chance: random.Random) -> datetime:
    if chance.random() < 0.1:
        return datetime(chance.choice((1, 999, 1000, 1582, 1969, 2099, 9999)), 1, 1, 12, 30, 59, 999_999, tzinfo=UTC)
    return moment(chance).replace(tzinfo=UTC)


def day(chance: random.Random) -> date:
    if chance.random() < 0.1:
        return date(chance.choice((1, 999, 1000, 9999)), 12, 31)
    return moment(chance).date()


def numeral(chance: random.Random) -> str:
    """Text that is a number, or nearly."""
    made = format(number(chance), "f")
    return chance.choice((
        made, made, made, f" {made}", f"0{made}", f"{made}0", f"+{made}", f"{made}x", "", f"{made}e2", "１２", "1,000",
        ".5", "5.", "--1", "1.2.3", "-0", "-0.0", "9" * 30, "0." + "4" * 12 + "5", f"{made}\n", "1.0", "-7.000",
    ))  # fmt: skip


def word(chance: random.Random) -> str:
    return chance.choice(WORDS)


def spelled(chance: random.Random) -> str:
    """Text that is a day or a moment, or nearly."""
    made = moment(chance)
    return chance.choice((
        made.isoformat(" "), made.isoformat(), made.isoformat(" ", "seconds"), made.isoformat() + "Z",
        f"{made:%Y-%m-%d}", f"{made:%Y%m%d}", f"{made:%Y%m%d%H%M%S}", f"{made:%Y/%m/%d}", made.isoformat(" ")[:21],
        made.isoformat() + "+08:00", "2026-02-30 10:00:00", "2026-11-24 10:61:00", "2026-11-24 24:00:00", "00000000",
        "2026-11-24 23:59:60", "0000-00-00", "20261399", "99991231235959", " 2026-11-24", "2026-11-24\n", "",
    ))  # fmt: skip
