"""A fan's own data: taking it along, and having it erased."""

from datetime import datetime

import strawberry

from resolvers import privacy
from schema.bind import PUBLIC, Payload, column, mutation, query, value
from schema.ids import encode
from schema.jobs import MyJob, job_id
from schema.page import Connection


@strawberry.type(description="That a fan asked to be erased (注销).")
class Erasure:
    job_id = value(lambda row: job_id(row.job_id), strawberry.ID, "The job that does it.")
    fan_id = value(lambda row: encode("Fan", row.fan_id), strawberry.ID, "The id the fan had; it leads nowhere after.")
    asked_at: datetime = column("When they asked.")
    erased_at: datetime | None = column("When it was done.")


@strawberry.type(description="How far an erasure is, for who asked for it.")
class MyErasure:
    asked_at: datetime = column("When it was asked for.")
    erased_at: datetime | None = column("When it was done; null where it is not done yet.")


@strawberry.type(description="What exportMyData answers.")
class ExportMyDataPayload(Payload):
    job: MyJob | None = column("The job that writes it down; its download is there when it is DONE.")


@strawberry.type(description="What eraseMe answers.")
class EraseMePayload(Payload):
    job: MyJob | None = column("The job that does it.")
    receipt: str | None = column(
        "What asks `erasure` how far it is, when no token works any more. Shown to the fan only."
    )


@strawberry.type(description="What eraseFan answers.")
class EraseFanPayload(Payload):
    erasure: Erasure | None = column("The erasure, and the job that does it.")
    receipt: str | None = column(
        "What asks `erasure` of the fan's own schema how far it is, without a token. Give it to the fan only."
    )


@strawberry.type
class PrivacyMutation:
    erase_fan = mutation(privacy.erase_fan, EraseFanPayload, permission="fan:erase")


@strawberry.type
class PrivacyQuery:
    erasures = query(privacy.list_erasures, Connection[Erasure], permission="erasure:read")


@strawberry.type
class FanPrivacyQuery:
    erasure = query(privacy.erasure, MyErasure, permission=PUBLIC)


@strawberry.type
class FanPrivacyMutation:
    export_my_data = mutation(privacy.export_my_data, ExportMyDataPayload, permission="me:read")
    erase_me = mutation(privacy.erase_me, EraseMePayload, permission="me:write")
