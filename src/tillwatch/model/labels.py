"""Label sets and their identity, equal to Alertmanager's."""

from collections.abc import Mapping

Labels = Mapping[str, str]

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK_64_BITS = 0xFFFFFFFFFFFFFFFF


def fingerprint(labels: Labels) -> str:
    """Alertmanager's identity of an alert: FNV-1a-64 over the sorted `name 0xff value 0xff` pairs, 16 hex digits."""
    digest = _FNV_OFFSET
    for name in sorted(labels):
        for part in (name, labels[name]):
            for byte in (*part.encode("utf-8", "surrogatepass"), 0xFF):
                digest = ((digest ^ byte) * _FNV_PRIME) & _MASK_64_BITS
    return f"{digest:016x}"
