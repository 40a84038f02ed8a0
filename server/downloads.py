"""The way to a fan's own document: a link that is signed and short-lived, and streams what it opens piece by piece."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.privacy.queries import find_document, stream_document
from resolvers.context import Services
from resolvers.privacy import DOWNLOADS

DOWNLOAD_PATH: Final = f"{DOWNLOADS}/{{token}}"
PRIVATE: Final = {
    "cache-control": "no-store, private",
    "content-disposition": 'attachment; filename="my-data.json"',
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Downloads:
    """Answers links to documents. Whatever is wrong with one, there is nothing here."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def download(self, request: Request) -> Response:
        """Send the document of the link's fan, who must still be there."""
        services = self._services
        try:
            claims = services.tokens.verify_download(request.path_params["token"])
            document = await find_document(services.database, claims.job_id, claims.fan_id)
        except (NotFound, Unauthenticated):
            return JSONResponse({"error": "NOT_FOUND"}, status_code=404, headers={"cache-control": "no-store"})
        except Unavailable:
            return JSONResponse({"error": "UNAVAILABLE"}, status_code=503, headers={"cache-control": "no-store"})
        pieces = stream_document(services.database, services.vault, document)
        return StreamingResponse(pieces, media_type="application/json", headers=PRIVATE)
