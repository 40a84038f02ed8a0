"""What fans agreed to."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.consents.models import Purpose
from resolvers import consents
from schema.arguments import enum_type
from schema.bind import Payload, column, mutation, query
from schema.page import Connection

if TYPE_CHECKING:
    from schema.fans import Fan, Me

enum_type(Purpose)
Fans = list[Annotated["Fan", strawberry.lazy("schema.fans")]]
OneMe = Annotated["Me", strawberry.lazy("schema.fans")]


@strawberry.type(description="Where a fan stands with one purpose (同意).")
class Consent:
    purpose: Purpose = column("What the data may be used for.")
    granted: bool = column("Whether they agree now.")
    policy: str = column("The version of the privacy policy they decided under.")
    at: datetime = column("Since when.")


@strawberry.type(description="One time a fan agreed to a purpose, or took it back.")
class ConsentRecord:
    purpose: Purpose = column("What the data may be used for.")
    granted: bool = column("Whether they agreed.")
    policy: str = column("The version of the privacy policy they decided under.")
    evidence: str | None = column("Where the proof is kept, where it was recorded for them.")
    principal: str = column("Who recorded it.")
    at: datetime = column("When.")


@strawberry.type(description="One time I agreed to a purpose, or took it back.")
class MyConsentRecord:
    purpose: Purpose = column("What my data may be used for.")
    granted: bool = column("Whether I agreed.")
    policy: str = column("The version of the privacy policy I decided under.")
    at: datetime = column("When.")


@strawberry.type(description="What recordConsents answers.")
class RecordConsentsPayload(Payload):
    fans: Fans | None = column("The fans.", size=1)
    changed_count: int | None = column("How many decisions changed something.")


@strawberry.type(description="What setMyConsents answers.")
class SetMyConsentsPayload(Payload):
    me: OneMe | None = column("The caller, with what they agree to now.")


@strawberry.type
class ConsentsQuery:
    consent_records = query(consents.list_consent_records, Connection[ConsentRecord], permission="consent:read")


@strawberry.type
class ConsentsMutation:
    record_consents = mutation(
        consents.record_consents, RecordConsentsPayload, permission="consent:write", rows="fanIds"
    )


@strawberry.type
class FanConsentsQuery:
    my_consent_records = query(consents.my_consent_records, Connection[MyConsentRecord], permission="me:read")


@strawberry.type
class FanConsentsMutation:
    set_my_consents = mutation(consents.set_my_consents, SetMyConsentsPayload, permission="me:write")
