"""GraphQL over WebSockets: the graphql-transport-ws protocol, on the same pipeline as HTTP."""

from server.http.sockets.endpoint import SocketEndpoint
from server.http.sockets.options import SocketOptions

__all__ = ["SocketEndpoint", "SocketOptions"]
