"""Which kind of object an id names. The API shows ids as opaque text and refuses one of another kind."""

from enum import Enum
from typing import Annotated, Final, NamedTuple


class NodeOf(NamedTuple):
    """Marks an integer id with the type it names in the API."""

    kind: str


BrandId = Annotated[int, NodeOf("Brand")]
DealerId = Annotated[int, NodeOf("Dealer")]
StoreId = Annotated[int, NodeOf("Store")]
StaffId = Annotated[int, NodeOf("Staff")]
GrantId = Annotated[int, NodeOf("Grant")]
FanId = Annotated[int, NodeOf("Fan")]
TagId = Annotated[int, NodeOf("Tag")]
OrderId = Annotated[int, NodeOf("Order")]
CascadeId = Annotated[int, NodeOf("Cascade")]
AttributeId = Annotated[int, NodeOf("Attribute")]
ChannelAccountId = Annotated[int, NodeOf("ChannelAccount")]
EventDefinitionId = Annotated[int, NodeOf("EventDefinition")]
BlockedIdentityId = Annotated[int, NodeOf("BlockedIdentity")]
IdentityConflictId = Annotated[int, NodeOf("IdentityConflict")]
PersonId = Annotated[int, NodeOf("Person")]
PersonMergeId = Annotated[int, NodeOf("PersonMerge")]
PointAccountId = Annotated[int, NodeOf("PointAccount")]
PointAdjustmentId = Annotated[int, NodeOf("PointAdjustment")]
FanEventId = Annotated[int, NodeOf("FanEvent")]
PointRuleId = Annotated[int, NodeOf("PointRule")]
LevelId = Annotated[int, NodeOf("Level")]
JobId = Annotated[int, NodeOf("Job")]
GiftId = Annotated[int, NodeOf("Gift")]
RedemptionId = Annotated[int, NodeOf("Redemption")]


class Wide(NamedTuple):
    """Marks an integer that may need 64 bits, which GraphQL's own Int has not."""


Int64 = Annotated[int, Wide()]


class Absent(Enum):
    """What an input that was left out is, where leaving out and null mean different things."""

    ABSENT = "ABSENT"


ABSENT: Final = Absent.ABSENT
