"""The ways to documents: links that are signed and short-lived, and stream what they open piece by piece."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from domain import audit
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.points.exports.queries import find_report, name_of
from domain.privacy.queries import Document, find_document, stream_document
from domain.scope import system_scope
from resolvers.context import Services
from resolvers.exports import REPORTS, may_export
from resolvers.privacy import DOWNLOADS

DOWNLOAD_PATH: Final = f"{DOWNLOADS}/{{token}}"
REPORT_PATH: Final = f"{REPORTS}/{{token}}"
PRIVATE: Final = {
    "cache-control": "no-store, private",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Downloads:
    """Answers links to documents. Whatever is wrong with one, there is nothing here."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._may_export = may_export(services.templates)

    async def download(self, request: Request) -> Response:
        """Send the document of the link's fan, who must still be there."""
        return await self._answer(request, self._own_document)

    async def report(self, request: Request) -> Response:
        """Send a report to who asked for it, who must still have the right to it. Each time is written down."""
        return await self._answer(request, self._report)

    async def _answer(self, request: Request, find: Callable[[str], Awaitable[Response]]) -> Response:
        try:
            return await find(request.path_params["token"])
        except (NotFound, Unauthenticated):
            return JSONResponse({"error": "NOT_FOUND"}, status_code=404, headers={"cache-control": "no-store"})
        except Unavailable:
            return JSONResponse({"error": "UNAVAILABLE"}, status_code=503, headers={"cache-control": "no-store"})

    async def _own_document(self, token: str) -> Response:
        claims = self._services.tokens.verify_download(token)
        document = await find_document(self._services.database, claims.job_id, claims.fan_id)
        return self._stream(document, "my-data.json", "application/json")

    async def _report(self, token: str) -> Response:
        claims = self._services.tokens.verify_report(token)
        async with self._services.database.writing(system_scope("download")) as session:
            job = await find_report(session, claims.job_id, claims.principal)
            if not await self._may_export(session, job):
                raise NotFound
            deed = audit.Deed(job.group_id, job.brand_id, "points:download", f"Job:{job.id}", job.input)
            await audit.record(session, claims.principal, [deed])
        return self._stream(Document(job.id, job.group_id), name_of(job), "text/csv; charset=utf-8")

    def _stream(self, document: Document, name: str, media_type: str) -> Response:
        pieces = stream_document(self._services.database, self._services.vault, document)
        headers = {**PRIVATE, "content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces, media_type=media_type, headers=headers)
