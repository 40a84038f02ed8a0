"""GraphQL over HTTP as one bare ASGI application."""

from server.http.endpoint import GraphQLEndpoint, Options
from server.http.pipeline import Caller
from server.http.request import Request
from server.http.throttle import Rate

__all__ = ["Caller", "GraphQLEndpoint", "Options", "Rate", "Request"]
