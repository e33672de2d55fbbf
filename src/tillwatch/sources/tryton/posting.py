"""Documents into Tryton: read-only unless the system says `writes: enabled`, then each kind by its own writer."""

from zoneinfo import ZoneInfo

from tillwatch.clock import Clock
from tillwatch.errors import RefusedError, SourceRejected
from tillwatch.sources.documents import Document, Plan, Receipt, StockCount
from tillwatch.sources.tryton.catalogue import Catalogue
from tillwatch.sources.tryton.counts import Counts
from tillwatch.sources.tryton.options import TrytonOptions
from tillwatch.sources.tryton.partners import PartnerLookup
from tillwatch.sources.tryton.sales import Sales
from tillwatch.sources.tryton.session import Session


class Posting:
    """Plans are always allowed: they read. Only `write` needs `writes: enabled`."""

    def __init__(
        self, session: Session, catalogue: Catalogue, options: TrytonOptions, *, clock: Clock, zone: ZoneInfo
    ) -> None:
        self._system = session.system
        self._enabled = options.writes == "enabled"
        self._sales = Sales(session, PartnerLookup(session, options, zone=zone), clock=clock)
        self._counts = Counts(session, catalogue, clock=clock)

    def plan(self, document: Document) -> Plan:
        return self._counts.plan(document) if isinstance(document, StockCount) else self._sales.plan(document)

    def find(self, document: Document) -> Receipt | None:
        return self._counts.find(document) if isinstance(document, StockCount) else self._sales.find(document)

    def revert(self, receipt: Receipt) -> Plan:
        is_count = isinstance(receipt.document, StockCount)
        return self._counts.revert(receipt) if is_count else self._sales.revert(receipt)

    def write(self, plan: Plan) -> Receipt:
        if not self._enabled:
            raise RefusedError(
                f"system {self._system!r} is read only; nothing was sent. Set 'writes: enabled' in tillwatch.yaml to "
                "let approved repairs post documents"
            )
        if plan.system != self._system:
            raise RefusedError(f"the plan is for system {plan.system!r}, not for {self._system!r}; nothing was sent")
        if not plan.possible:
            reasons = "; ".join(condition.message["en"] for condition in plan.preconditions if not condition.ok)
            raise SourceRejected(f"system {self._system!r}, {plan.reference!r}: {reasons}; nothing was sent")
        return self._counts.write(plan) if isinstance(plan.document, StockCount) else self._sales.write(plan)
