"""The ledger's writes, for those who build on it. Each takes a session first, and the programme of the fan's brand.

A caller reads the programme by `domain.points.programme.queries.programme_of`. Every write is keyed by its natural
source and posted once, however often it is asked for; accounts are locked until the transaction ends.
"""

from domain.points.ledger.due import expire_due, release_due
from domain.points.ledger.earning import earn
from domain.points.ledger.queries import balances_by_fan, expiring_by_fan
from domain.points.ledger.spending import hold, post_hold, spend, void_hold
from domain.points.ledger.undoing import cancel_pending, claw_back, reverse

__all__ = [
    "balances_by_fan",
    "cancel_pending",
    "claw_back",
    "earn",
    "expire_due",
    "expiring_by_fan",
    "hold",
    "post_hold",
    "release_due",
    "reverse",
    "spend",
    "void_hold",
]
