"""What a channel says of who somebody is. There are thousands of these a second, so they are tuples."""

from typing import NamedTuple

from domain.persons.models import IdentityKind


def space_of(kind: IdentityKind, issuer: str) -> str:
    """Return what the hash of an identity holds beside its value."""
    return f"{kind.value}@{issuer}"


class IdentityRef(NamedTuple):
    """An identity as a channel names it; `issuer` is the account of an openid or the system of an external id."""

    kind: IdentityKind
    value: str
    issuer: str = ""

    def space(self) -> str:
        return space_of(self.kind, self.issuer)


class Claim(NamedTuple):
    """Identities that were named together.

    `verified` are those of them that were proved in the act: a phone by a code that was sent to it. Only a service that
    checked it may say so, never a fan. `evidence` says where the claim comes from by kind and number, such as
    `event:01J…` or `order:tmall/123`, in 200 characters at most and without personal data.
    """

    identities: tuple[IdentityRef, ...]
    verified: frozenset[IdentityRef] = frozenset()
    evidence: str = ""
