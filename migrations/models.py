"""All tables of the product: importing this module puts every one of them into the metadata."""

from domain import audit, chores, idempotency, outbox
from domain.access import models as access
from domain.attributes import models as attributes
from domain.consents import models as consents
from domain.events import models as events
from domain.fans import models as fans
from domain.fans import names
from domain.jobs import models as jobs
from domain.levels import models as levels
from domain.live import models as live
from domain.mall import models as mall
from domain.orders import models as orders
from domain.persons import models as persons
from domain.points.earning import models as earning
from domain.points.ledger import models as ledger
from domain.points.programme import models as programme
from domain.privacy import models as privacy
from domain.referrals import models as referrals
from domain.shares import models as shares
from domain.tables import metadata
from domain.tags import models as tags
from domain.tenancy import models as tenancy
from domain.timeline import models as timeline

__all__ = [
    "access",
    "attributes",
    "audit",
    "chores",
    "consents",
    "earning",
    "events",
    "fans",
    "idempotency",
    "jobs",
    "ledger",
    "levels",
    "live",
    "mall",
    "metadata",
    "names",
    "orders",
    "outbox",
    "persons",
    "privacy",
    "programme",
    "referrals",
    "shares",
    "tags",
    "tenancy",
    "timeline",
]
