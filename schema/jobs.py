"""Work that is longer than a request."""

from datetime import datetime
from functools import partial

import strawberry

from domain.jobs.models import JobKind, JobState
from resolvers import exports, jobs, privacy, tenancy
from schema.arguments import enum_type
from schema.bind import Node, column, entity, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.tenancy import Brand

enum_type(JobKind)
enum_type(JobState)
job_id = partial(encode, "Job")


@strawberry.type(description="Where a document can be fetched.")
class Download:
    path: str = column("The path at this server, to be fetched by GET without a token. Keep it to yourself.")
    expires_at: datetime = column("Until when the link works; ask again for another.")


@entity("A piece of long work (任务): the worker does it in steps, and another goes on where one ended.")
class Job(Node):
    kind: JobKind = column("What it does.")
    state: JobState = column("Where it stands.")
    done: int = column("How many items it has done.")
    attempts: int = column("How many tries in a row have failed.")
    error: str | None = column("Why the last try failed.")
    created_at: datetime = column("When it was asked for.")
    finished_at: datetime | None = column("When it ended.")
    brand = relation(tenancy.brands_of, Brand | None)
    download = relation(exports.downloads_of, Download | None)


@strawberry.type(description="A piece of long work I asked for.")
class MyJob:
    id = value(lambda row: job_id(row.id), strawberry.ID, "The job's id.")
    kind: JobKind = column("What it does.")
    state: JobState = column("Where it stands.")
    done: int = column("How many items it has done.")
    created_at: datetime = column("When I asked for it.")
    finished_at: datetime | None = column("When it ended.")
    download = relation(privacy.downloads_of, Download | None)


@strawberry.type
class JobsQuery:
    jobs = query(jobs.list_jobs, Connection[Job], permission="job:read")


@strawberry.type
class FanJobsQuery:
    my_job = query(jobs.my_job, MyJob, permission="me:read")
    my_jobs = query(jobs.my_jobs, Connection[MyJob], permission="me:read")
