"""Where a gift goes: personal data, sealed as soon as it comes in."""

from dataclasses import asdict, dataclass

import orjson

from domain.errors import BadInput
from domain.inputs import said
from domain.vault import GroupVault, is_phone, normalise_phone

LABEL = "redemptions.delivery"


@dataclass(frozen=True)
class Delivery:
    """Where a gift goes, and to whom."""

    recipient: str = said("Who receives it, 1 to 100 characters.")
    phone: str = said("Their phone, however it is written.")
    address: str = said("The whole address, 1 to 500 characters.")


def sealed(keys: GroupVault, delivery: Delivery) -> bytes:
    """Return the delivery as it is kept. Raises BadInput naming the field that cannot be so."""
    for name, limit in (("recipient", 100), ("address", 500)):
        if not 1 <= len(getattr(delivery, name).strip()) <= len(getattr(delivery, name)) <= limit:
            raise BadInput(f"{name} has 1 to {limit} characters.", field=("input", "delivery", name))
    phone = normalise_phone(delivery.phone)
    if not is_phone(phone):
        raise BadInput("A phone has 5 to 15 digits.", field=("input", "delivery", "phone"))
    return keys.seal(orjson.dumps(asdict(delivery) | {"phone": phone}).decode(), LABEL)


def opened(keys: GroupVault, cipher: bytes) -> Delivery:
    """Return a delivery that is kept."""
    return Delivery(**orjson.loads(keys.open(cipher, LABEL)))
