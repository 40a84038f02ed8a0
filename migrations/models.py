"""All tables of the product: importing this module puts every one of them into the metadata."""

from domain import audit, idempotency, outbox
from domain.access import models as access
from domain.events import models as events
from domain.fans import models as fans
from domain.orders import models as orders
from domain.persons import models as persons
from domain.referrals import models as referrals
from domain.shares import models as shares
from domain.tables import metadata
from domain.tags import models as tags
from domain.tenancy import models as tenancy

__all__ = [
    "access",
    "audit",
    "events",
    "fans",
    "idempotency",
    "metadata",
    "orders",
    "outbox",
    "persons",
    "referrals",
    "shares",
    "tags",
    "tenancy",
]
