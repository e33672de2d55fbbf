"""The strategy: the text of every row from both databases, matched here; only rows without an equal are read again.

Databases that share no fast hash spend most of a digest on MD5. Their rows as text cost half of that, and some bytes
on the line, so this is what compares different engines. The texts themselves are matched, not hashes of them: there is
nothing to collide.
"""

from typing import ClassVar

from tillwatch.audit.compare import Task
from tillwatch.audit.pushdown import asking, digest
from tillwatch.audit.pushdown.asking import Found
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.matching import match, scrolls
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.statements import Asker


class Records:
    """Matches the records of all rows. Proves the same as a stream, and costs a fraction of it."""

    name: ClassVar[str] = "records"

    def find(self, task: Task) -> str:
        return asking.find(task, _look)


def _look(pair: Pair, task: Task, askers: Both[Asker], found: Found) -> None:
    try:
        match(pair, task, askers, scrolls(pair, askers), found)
    except Refused as refused:
        found.keys.clear()
        found.how.append(f"records could not be matched, because {refused}, so rows were hashed")
        digest.look(pair, task, askers, found)
