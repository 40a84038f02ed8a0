"""Who may be whose referrer. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum


class Refusal(StrEnum):
    """Why a referral does not count."""

    SELF = "SELF"
    ALREADY_REFERRED = "ALREADY_REFERRED"
    CYCLE = "CYCLE"


def accept(pairs: Sequence[tuple[int, int]], known: Mapping[int, int]) -> list[Refusal | None]:
    """Judge (referrer, invitee) pairs in order, each in the light of those accepted before it.

    `known` maps an invitee to their referrer for everyone on the way up from the pairs' fans.
    """
    referrer_of = dict(known)
    answers: list[Refusal | None] = []
    for referrer, invitee in pairs:
        refusal = _refusal(referrer, invitee, referrer_of)
        if refusal is None:
            referrer_of[invitee] = referrer
        answers.append(refusal)
    return answers


def _refusal(referrer: int, invitee: int, referrer_of: Mapping[int, int]) -> Refusal | None:
    if referrer == invitee:
        return Refusal.SELF
    if invitee in referrer_of:
        return Refusal.ALREADY_REFERRED
    above: int | None = referrer
    while above is not None:
        if above == invitee:
            return Refusal.CYCLE
        above = referrer_of.get(above)
    return None
