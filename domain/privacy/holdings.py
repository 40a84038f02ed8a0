"""Everything that holds something about a fan: one line a capability, in the order an erasure goes through them.

What leads to the fan goes first, so that nothing new comes while the rest goes.
"""

from collections.abc import Mapping
from typing import Final

from domain.attributes import privacy as attributes
from domain.consents import privacy as consents
from domain.events import privacy as events
from domain.fans import privacy as fans
from domain.jobs import privacy as jobs
from domain.levels import privacy as levels
from domain.mall import privacy as mall
from domain.orders import privacy as orders
from domain.persons import privacy as persons
from domain.points.earning import privacy as earning
from domain.points.ledger import privacy as points
from domain.privacy.subject import Export, Holding
from domain.referrals import privacy as referrals
from domain.shares import privacy as shares
from domain.tags import privacy as tags
from domain.timeline import privacy as timeline

HOLDINGS: Final[tuple[Holding, ...]] = (
    persons.HOLDING,
    fans.HOLDING,
    consents.HOLDING,
    tags.HOLDING,
    attributes.HOLDING,
    levels.HOLDING,
    timeline.HOLDING,
    events.HOLDING,
    orders.HOLDING,
    earning.HOLDING,
    points.HOLDING,
    mall.HOLDING,
    shares.HOLDING,
    referrals.HOLDING,
    jobs.HOLDING,
)
SECTIONS: Final[Mapping[str, Export]] = {
    name: export for holding in HOLDINGS for name, export in holding.sections.items()
}
