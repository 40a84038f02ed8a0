"""Who is asking: one frozen value per kind of caller, named the same way in scopes, limits and the audit log."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class StaffViewer:
    """A staff member of a group. `subject` is their name at the identity provider."""

    staff_id: int
    group_id: int
    name: str
    subject: str

    @cached_property
    def principal(self) -> str:
        return f"staff:{self.staff_id}"


@dataclass(frozen=True)
class ServiceViewer:
    """Another system of the group, by its API key."""

    api_key_id: int
    group_id: int
    name: str

    @cached_property
    def principal(self) -> str:
        return f"api_key:{self.api_key_id}"


@dataclass(frozen=True)
class FanViewer:
    """A fan of a brand, acting for themselves."""

    fan_id: int
    brand_id: int
    group_id: int
    person_id: int

    @cached_property
    def principal(self) -> str:
        return f"fan:{self.fan_id}"


@dataclass(frozen=True)
class Anonymous:
    """Nobody yet: a fan about to sign in."""

    @cached_property
    def principal(self) -> str:
        return "anonymous"


Viewer = StaffViewer | ServiceViewer | FanViewer | Anonymous
