"""Orders of fans who become one."""

from domain.orders.models import Order
from domain.persons.moving import PlainRows
from domain.tables import table_of

ORDERS = PlainRows(table_of(Order), "created_at")
