"""Redemptions of fans who become one. What they count for a gift's limit moves with them."""

from domain.mall.models import Redemption
from domain.persons.moving import PlainRows
from domain.tables import table_of

REDEMPTIONS = PlainRows(table_of(Redemption), "created_at")
