"""The events that say something of orders: what they earn is read off the orders themselves."""

from typing import Final

ORDER_PAID: Final = "order_paid"
ORDER_RECEIVED: Final = "order_received"
# what an order says counts once; that somebody also sends an event of it earns nothing more
ORDER_EVENTS: Final = frozenset({"order_created", ORDER_PAID, ORDER_RECEIVED, "order_refunded"})
REGISTER: Final = "register"
