"""Reports of a brand's ledger for finance (财务导出)."""

import strawberry

from domain.points.exports.reports import Report
from resolvers import exports
from schema.arguments import enum_type
from schema.bind import Payload, column, mutation
from schema.jobs import Job

enum_type(Report)


@strawberry.type(description="What exportPoints answers.")
class ExportPointsPayload(Payload):
    job: Job | None = column("The job that writes it down; its download is there when it is DONE.")


@strawberry.type
class PointExportsMutation:
    export_points = mutation(exports.export_points, ExportPointsPayload, permission="points:export")
