"""SQLite 3.35 and later. Declared types bind nothing, so every expression asks each value what it is."""

from tillwatch.audit.canonical import FALSE, TRUE, FieldType, Precision, Rule, Trim
from tillwatch.audit.pushdown.elements import FIRST_MOMENT, LAST_MOMENT, Element, Refused, Table, steady
from tillwatch.sources.sql.session import Column, ColumnKind

#: Scaled by its places a number must stay below this: then a binary float is far closer to the decimal people wrote
#: than to the next one, and _CLEAR of a half is enough to round it as the decimal.
_MAX_SCALED = "1e13"
_CLEAR = 0.02
_MAX_SCALE = 9
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_MOMENT = f"{_DAY}[ T][0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_FRACTION = {Precision.SECOND: 0, Precision.MILLISECOND: 3, Precision.MICROSECOND: 6}


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def ascii_only(c: str) -> str:
    """Of a text: nothing but ASCII, and no NUL, at which SQLite's own functions stop and take the rest for nothing."""
    return f"length(CAST({c} AS BLOB)) = length({c})"


def digits(c: str, *, points: int) -> str:
    """Text of digits with at most `points` points and perhaps a minus, short enough for a float."""
    bare = f"ltrim({c}, '-')"
    shape = f"{bare} GLOB '[0-9]*' AND {bare} NOT GLOB '*[^0-9.]*' AND {bare} NOT GLOB '*{'.*' * (points + 1)}'"
    return f"{shape} AND length({c}) <= 16 AND length({c}) - length({bare}) <= 1 AND {ascii_only(c)}"


def real_day(day: str) -> str:
    """A day that does not exist is moved by counting, so it is not itself any more."""
    return f"date({day}, '+0 days') = {day}"


def _absent(c: str, rule: Rule) -> str:
    blank = f" OR (typeof({c}) = 'text' AND trim({c}) = '')" if rule.empty_is_null else ""
    return f"({c} IS NULL{blank})"


def _guarded(c: str, rule: Rule, *, text: str, sane: str) -> Element:
    """`text` for sane values, NULL for absent ones; everything else is odd."""
    absent = _absent(c, rule)
    return Element(text=f"CASE WHEN {absent} THEN NULL ELSE {text} END", odd=f"({absent} OR ({sane})) IS NOT TRUE")


def _decimal(column: Column, rule: Rule) -> Element:
    c, scale = column.sql, rule.scale
    if scale is None:
        return _unscaled(column, rule)
    if scale > _MAX_SCALE:
        raise Refused(f"{rule.name} has more than {_MAX_SCALE} places, more than a float of SQLite holds")
    zero = "0." + "0" * scale if scale else "0"
    real = f"CAST({c} AS REAL)"
    text = f"CASE WHEN abs({real}) < 0.5e-{scale} THEN '{zero}' ELSE printf('%.{scale}f', {real}) END"

    def clear(number: str) -> str:
        scaled = f"abs({number}) * 1{'0' * scale}"
        return f"{scaled} < {_MAX_SCALED} AND abs({scaled} - CAST({scaled} AS INTEGER) - 0.5) > {_CLEAR}"

    # By type: most values are binary numbers, and reading one as a number again costs as much as the rest.
    sane = (
        f"CASE typeof({c}) WHEN 'real' THEN {clear(c)} WHEN 'integer' THEN abs({c}) * 1{'0' * scale} < {_MAX_SCALED}"
        f" WHEN 'text' THEN {digits(c, points=1)} AND {clear(real)} END"
    )
    return _guarded(c, rule, text=text, sane=sane)


def _unscaled(column: Column, rule: Rule) -> Element:
    c = column.sql
    plain = f"CAST({c} AS TEXT)"
    # Fifteen digits are shown; a float that needs more is not what its text says.
    whole = f"(typeof({c}) = 'integer')"
    real = f"(typeof({c}) = 'real' AND CAST({plain} AS REAL) = {c} AND {plain} NOT GLOB '*[^0-9.-]*')"
    text = f"CASE WHEN {plain} GLOB '*.*' THEN rtrim(rtrim({plain}, '0'), '.') ELSE {plain} END"
    return Element(
        text=f"CASE WHEN {_absent(c, rule)} THEN NULL WHEN {c} = 0 THEN '0' ELSE {text} END",
        odd=f"({_absent(c, rule)} OR {whole} OR {real}) IS NOT TRUE",
    )


def _integer(column: Column, rule: Rule) -> Element:
    c = column.sql
    whole = f"CAST({c} AS INTEGER)"
    sane = (
        f"typeof({c}) = 'integer' OR (typeof({c}) = 'real' AND abs({c}) < 1e15 AND {whole} = {c})"
        f" OR (typeof({c}) = 'text' AND {digits(c, points=0)})"
    )
    return _guarded(c, rule, text=f"CAST({whole} AS TEXT)", sane=sane)


def _text(column: Column, rule: Rule) -> Element:
    c = column.sql
    text = f"CAST({c} AS TEXT)"
    if rule.trim is Trim.RIGHT:
        text = f"rtrim({text})"
    elif rule.trim is Trim.BOTH:
        text = f"trim({text})"
    if rule.fold_case:
        # Of SQLite only A to Z become small; the rest is the reference's.
        text = f"lower({text})"
    if rule.empty_is_null:
        text = f"CASE WHEN {_absent(c, rule)} THEN NULL ELSE {text} END"
    return Element(text=text, odd=f"typeof({c}) IN ('real', 'blob')")


def _date(column: Column, rule: Rule) -> Element:
    c = column.sql
    day = f"substr({c}, 1, 10)"
    # A time without zone is the rule's.
    sane = (
        f"typeof({c}) = 'text' AND {ascii_only(c)} AND {real_day(day)} AND {_within(day)}"
        f" AND ({c} GLOB '{_DAY}' OR ({c} GLOB '{_MOMENT}*' AND time(substr({c}, 12, 8)) = substr({c}, 12, 8)"
        f" AND {_plain_fraction(c)}))"
    )
    return _guarded(c, rule, text=day, sane=sane)


def _plain_fraction(c: str) -> str:
    """After the seconds nothing, or a point and up to six digits; in particular no zone."""
    rest = f"substr({c}, 20)"
    return f"({rest} = '' OR ({rest} GLOB '.[0-9]*' AND substr({c}, 21) NOT GLOB '*[^0-9]*' AND length({c}) <= 26))"


def _within(c: str) -> str:
    return f"{c} BETWEEN '{FIRST_MOMENT:%Y-%m-%d}' AND '{LAST_MOMENT:%Y-%m-%d}'"


def _timestamp(column: Column, rule: Rule) -> Element:
    c = column.sql
    if column.loose and rule.precision is Precision.MICROSECOND:
        return _loose_timestamp(c, rule)
    # Without a zone in the text it is the rule's; the change field was read with the system's by the source already.
    clock = steady(column.zone if column.marks_change else rule.zone)
    first = f"substr({c}, 1, 19)"
    plain = f"replace({first}, 'T', ' ')"
    sane = (
        f"typeof({c}) = 'text' AND {ascii_only(c)} AND {c} GLOB '{_MOMENT}*' AND datetime({first}, '+0 days') = {plain}"
        f" AND {plain} BETWEEN '{clock.since:%Y-%m-%d}' AND '{clock.until:%Y-%m-%d}'"
        f" AND {_plain_fraction(c)}"
    )
    utc = f"strftime('%Y-%m-%dT%H:%M:%S', {first}, '{-clock.offset_seconds} seconds')"
    if digits := _FRACTION[rule.precision]:
        utc += f" || '.' || substr(substr({c}, 21) || '000000', 1, {digits})"
    return _guarded(c, rule, text=f"{utc} || 'Z'", sane=sane)


def _loose_timestamp(c: str, rule: Rule) -> Element:
    """As it stands, filled up to microseconds. Of these lengths none can end in a zone and look as if it did not."""
    text = f"replace({c}, ' ', 'T') || substr('.000000Z', length({c}) - 18)"
    sane = f"typeof({c}) = 'text' AND length({c}) IN (19, 23, 26)"
    return _guarded(c, rule, text=text, sane=sane)


def _boolean(column: Column, rule: Rule) -> Element:
    c = column.sql
    word = f"lower(trim(CAST({c} AS TEXT)))"
    yes, no = (", ".join(literal(one) for one in sorted(words)) for words in (TRUE, FALSE))
    truth = f"CASE WHEN {word} IN ({yes}) THEN 'true' WHEN {word} IN ({no}) THEN 'false' END"
    sane = f"typeof({c}) IN ('integer', 'text') AND {word} IN ({yes}, {no})"
    return Element(
        text=f"CASE WHEN {_absent(c, rule)} THEN NULL ELSE {truth} END",
        odd=f"({_absent(c, rule)} OR ({sane})) IS NOT TRUE",
    )


RULES: Table = {
    (ColumnKind.DYNAMIC, FieldType.DECIMAL): _decimal,
    (ColumnKind.DYNAMIC, FieldType.INTEGER): _integer,
    (ColumnKind.DYNAMIC, FieldType.TEXT): _text,
    (ColumnKind.DYNAMIC, FieldType.CODE): _text,
    (ColumnKind.DYNAMIC, FieldType.DATE): _date,
    (ColumnKind.DYNAMIC, FieldType.TIMESTAMP): _timestamp,
    (ColumnKind.DYNAMIC, FieldType.BOOLEAN): _boolean,
}
