"""What other stores must learn, written in the transaction that changes the truth and delivered at least once after.

A row's payload is the whole state of its key at `version`, so that a consumer may apply rows twice or late: it keeps
the highest version it has seen. Payloads hold ids and numbers, never personal data.
"""

from domain.outbox.models import Event, Outbox
from domain.outbox.service import emit

__all__ = ["Event", "Outbox", "emit"]
