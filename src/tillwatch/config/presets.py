"""What `preset:` fills in where an audit says nothing itself. Expanded before the file is read as a model, so that a
fault in what a preset gave is reported where the preset is named, and one in what was written where it was written.

`key`, `value` and `severity` come from the preset when they are not written. Of `fields`, the ones written are the ones
compared, and what a field does not say itself comes from the preset; without `fields` all of the preset's are compared.
"""

from collections.abc import Mapping as Named
from typing import Any

from tillwatch.config.yaml import Mapping, Node, Place, Scalar, Sequence

_MONEY: dict[str, str] = {"type": "decimal", "scale": "2"}
_QUANTITY: dict[str, str] = {"type": "decimal", "scale": "4"}
#: Tax is rounded by the line on one side and by the document on the other.
_TAX: dict[str, str] = {"type": "decimal", "scale": "2", "tolerance": "0.01"}
_AMOUNT_AT_RISK = "abs(coalesce(left.amount, 0) - coalesce(right.amount, 0))"

PRESETS: Named[str, Named[str, Any]] = {
    "stock": {
        "key": ["sku"],
        "fields": {"quantity": _QUANTITY},
        "value": "abs(coalesce(left.quantity, 0) - coalesce(right.quantity, 0)) * coalesce(left.price, 0)",
    },
    "prices": {
        "key": ["sku"],
        "fields": {"price": _MONEY},
        "value": "abs(coalesce(left.price, 0) - coalesce(right.price, 0))",
    },
    "orders": {
        "key": ["order_ref"],
        "fields": {"amount": _MONEY, "quantity": _QUANTITY},
        "value": _AMOUNT_AT_RISK,
        "severity": "critical",
    },
    "order_lines": {
        "key": ["order_ref", "line"],
        "fields": {"sku": {"type": "code"}, "quantity": _QUANTITY, "price": _MONEY},
        "value": "abs(coalesce(left.quantity * left.price, 0) - coalesce(right.quantity * right.price, 0))",
        "severity": "critical",
    },
    "members": {
        "key": ["member"],
        "fields": {
            "name": {"type": "text"},
            "phone": {"type": "code", "fold_width": "true", "empty_is_null": "true"},
            "points": {"type": "integer"},
        },
    },
    "payments": {
        "key": ["document_no"],
        "fields": {"amount": _MONEY, "tax": _TAX},
        "value": _AMOUNT_AT_RISK,
        "severity": "critical",
    },
}


def expand(file: Node) -> Node:
    """The file with every `preset:` of its audits filled in. A preset nobody knows is left for the schema to refuse."""
    audits = file.entries.get("audits") if isinstance(file, Mapping) else None
    if not isinstance(file, Mapping) or not isinstance(audits, Sequence):
        return file
    items = tuple(_audit(item) for item in audits.items)
    return _with(file, {"audits": Sequence(place=audits.place, items=items)}, file.place)


def _audit(audit: Node) -> Node:
    preset = audit.entries.get("preset") if isinstance(audit, Mapping) else None
    if not isinstance(audit, Mapping) or not isinstance(preset, Scalar) or preset.text not in PRESETS:
        return audit
    given = PRESETS[preset.text]
    filled = {name: _node(value, preset.place) for name, value in given.items() if name not in audit.entries}
    if isinstance(fields := audit.entries.get("fields"), Mapping):
        filled["fields"] = _with(
            fields, {name: _field(field, given["fields"].get(name, {})) for name, field in fields.entries.items()}
        )
    return _with(audit, filled, preset.place)


def _field(field: Node, given: Named[str, str]) -> Node:
    if not isinstance(field, Mapping):
        return field
    # Settings of one type say nothing of another.
    if (kind := field.entries.get("type")) is not None and getattr(kind, "text", "") != given.get("type"):
        return field
    missing = {name: _node(value, field.place) for name, value in given.items() if name not in field.entries}
    return _with(field, missing, field.place)


def _with(node: Mapping, entries: Named[str, Node], place: Place | None = None) -> Mapping:
    keys = {name: node.keys.get(name, place or node.place) for name in entries}
    return Mapping(place=node.place, entries=node.entries | dict(entries), keys=node.keys | keys)


def _node(value: Any, place: Place) -> Node:
    if isinstance(value, dict):
        entries = {name: _node(item, place) for name, item in value.items()}
        return Mapping(place=place, entries=entries, keys=dict.fromkeys(value, place))
    if isinstance(value, list):
        return Sequence(place=place, items=tuple(_node(item, place) for item in value))
    return Scalar(place=place, text=str(value), quoted=False)
