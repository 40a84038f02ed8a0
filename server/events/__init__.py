"""Events over plain HTTP, for what speaks no GraphQL: SDKs, shops, tills, ad systems."""

from server.events.endpoint import EventsEndpoint

__all__ = ["EventsEndpoint"]
