"""What moves when two fans become one: a line for each capability that keeps something of fans."""

from domain.attributes.merge import ATTRIBUTES
from domain.consents.merge import CONSENT_RECORDS, CONSENTS
from domain.events.merge import ACTIVITY, COUNTS, EVENTS, FOLLOWS
from domain.fans.merge import FANS
from domain.levels.merge import LEVELS, LEVELS_APART
from domain.mall.merge import REDEMPTIONS
from domain.orders.merge import ORDERS
from domain.persons.answers import ANSWERS
from domain.persons.moving import Mover
from domain.points.earning.merge import GRANTS
from domain.points.ledger.merge import POINTS
from domain.referrals.merge import REFERRALS
from domain.shares.merge import SHARES
from domain.tags.merge import TAGS
from domain.timeline.merge import CHANGES

# The fan's own row goes last. It comes back first, and then the others in the opposite order: daily counts look at
# the events of the time since the merge before those are given away.
MOVERS: tuple[Mover, ...] = (
    # a redemption is locked before its account, as whoever ends one does
    REDEMPTIONS,
    # comes back when the events have
    ACTIVITY,
    *(ORDERS, TAGS, EVENTS, COUNTS, FOLLOWS, CHANGES, ATTRIBUTES, CONSENTS, CONSENT_RECORDS, SHARES, REFERRALS),
    ANSWERS,
    GRANTS,
    # a level is taken over before the growth that decides it, and put back before it
    LEVELS,
    POINTS,
    LEVELS_APART,
    FANS,
)
