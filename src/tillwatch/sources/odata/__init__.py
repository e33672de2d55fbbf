"""OData services, v4 and v2 as SAP Gateway speaks it: read entity sets, and what changed in them."""

from tillwatch.sources.odata.options import ODataDataset, ODataOptions
from tillwatch.sources.odata.source import ODataSource

__all__ = ["ODataDataset", "ODataOptions", "ODataSource"]
