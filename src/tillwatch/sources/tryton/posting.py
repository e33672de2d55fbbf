"""Documents into Tryton: which writer for which document."""

from zoneinfo import ZoneInfo

from tillwatch.clock import Clock
from tillwatch.sources.documents import Document, Plan, Receipt
from tillwatch.sources.tryton.catalogue import Catalogue
from tillwatch.sources.tryton.options import TrytonOptions
from tillwatch.sources.tryton.session import Session


class Posting:
    def __init__(
        self, session: Session, catalogue: Catalogue, options: TrytonOptions, *, clock: Clock, zone: ZoneInfo
    ) -> None:
        self._session = session
        self._options = options

    def plan(self, document: Document) -> Plan:
        raise NotImplementedError

    def write(self, plan: Plan) -> Receipt:
        raise NotImplementedError

    def find(self, document: Document) -> Receipt | None:
        raise NotImplementedError

    def revert(self, receipt: Receipt) -> Plan:
        raise NotImplementedError
