"""The ranges of a bucket: never too narrow, and such that an index serves them."""

import pytest

from tillwatch.sources.sql.slicing import MAX_RANGES, KeyColumn, pieces


def column(name: str, dialect: str = "postgresql", kind: str = "varchar", collation: str = "C") -> KeyColumn:
    return KeyColumn(sql=name, dialect=dialect, kind=kind, collation=collation)


def only(*key: KeyColumn, name: str, prefix: int) -> str:
    ((condition, names),) = pieces(key, {name}, prefix)
    assert names == [name]
    return condition


def test_a_bucket_is_what_begins_with_its_name() -> None:
    assert only(column("sku"), name="ab", prefix=2) == "(sku LIKE E'ab%' ESCAPE '!')"
    assert only(column("sku"), name="ab", prefix=3) == "(sku = E'ab')"


def test_what_like_reads_as_a_pattern_is_taken_as_it_is() -> None:
    assert only(column("sku"), name="5%_!'\\", prefix=6) == "(sku LIKE E'5!%!_!!''\\\\%' ESCAPE '!')"


def test_parts_of_a_composite_key_before_the_last_are_whole() -> None:
    key = (column("shop"), column("sku"))
    assert only(*key, name="s1\x1f00", prefix=5) == "(shop = E's1' AND sku LIKE E'00%' ESCAPE '!')"
    assert only(*key, name="s1\x1f", prefix=3) == "(shop = E's1')"
    assert only(*key, name="\x1f0", prefix=2) == "((shop = E'' OR shop IS NULL) AND sku LIKE E'0%' ESCAPE '!')"
    assert only(*key, name="a\x1fb\x1fc", prefix=5) == ""


def test_order_by_code_point_under_another_name_has_bounds() -> None:
    by_code_point = column("sku", collation="C.UTF-8")
    assert only(by_code_point, name="店", prefix=1) == "(sku >= E'店' AND sku < E'庘')"
    assert only(by_code_point, name="\U0010ffff", prefix=1) == ""
    assert only(by_code_point, name="\ud7ff", prefix=1) == "(sku >= E'\ud7ff' AND sku < E'\ue000')"


def test_in_another_order_only_whole_columns_are_narrowed() -> None:
    key = (column("shop", collation="de_DE.utf8"), column("sku", collation="de_DE.utf8"))
    made = pieces(key, {"s1\x1fa", "s1\x1fb", "s2\x1fa"}, 4)
    assert made == [("(shop = E's1') OR (shop = E's2')", ["s1\x1fa", "s1\x1fb", "s2\x1fa"])]
    assert only(key[0], name="s", prefix=1) == ""


def test_mysql_is_told_by_bytes() -> None:
    assert only(column("sku", "mysql"), name="店", prefix=1) == "(sku LIKE _utf8mb4 X'e5ba9725' ESCAPE '!')"


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize("prefix", [1, 2, 3])
def test_whole_numbers_are_in_the_range_of_their_bucket(dialect: str, prefix: int) -> None:
    numbers = [*range(-1200, 1201), 2**63 - 1, -(2**63) + 1, 123456789012345]
    for number in numbers:
        name = str(number)[:prefix]
        condition = only(column("id", dialect, "bigint" if dialect == "mysql" else "int8"), name=name, prefix=prefix)
        assert condition == "" or holds(condition, number), (number, condition)
    assert only(column("id", dialect, "bigint" if dialect == "mysql" else "int8"), name="12", prefix=2)


def holds(condition: str, number: int) -> bool:
    """What a server makes of ranges of whole numbers."""
    words = condition.replace("(", " ").replace(")", " ").replace("=", "BETWEEN").split(" OR ")
    for one in words:
        parts = one.split()
        low, high = int(parts[2]), int(parts[-1])
        if low <= number <= high:
            return True
    return False


def test_numbers_filled_up_with_zeros_are_not_narrowed() -> None:
    assert only(column("id", "mysql", "int"), name="00", prefix=2) == ""


def test_a_column_nothing_is_known_of_is_not_narrowed() -> None:
    assert only(column("at", kind="timestamp"), name="2026", prefix=4) == ""


def test_statements_stay_short_and_every_bucket_is_in_one() -> None:
    names = {f"{number:03d}" for number in range(100)}
    made = pieces((column("sku"),), names, 3)
    assert [part.count("LIKE") for part, _ in made] == [MAX_RANGES] * 3 + [100 - 3 * MAX_RANGES]
    assert [name for _, part in made for name in part] == sorted(names)
