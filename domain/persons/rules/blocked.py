"""Values that name nobody: typed to get on, or said by devices and systems that know nothing. Pure."""

import re

from domain.persons.models import IdentityKind

# nothing but zeros and punctuation: 0, 0000-0000, 00000000-0000-0000-0000-000000000000
_EMPTY = re.compile(r"[\W0_]*")
_ONE_DIGIT = re.compile(r"(\d)\1*")
_WORDS = frozenset(
    {"null", "none", "nil", "undefined", "unknown", "anonymous", "n/a", "na", "nan", "匿名", "未知", "无"},
)
_NONE: frozenset[str] = frozenset()
_OF_KIND = {
    IdentityKind.PHONE: frozenset({"13800000000", "13800138000", "12345678901", "12345678910"}),
    IdentityKind.EMAIL: frozenset({"test@test.com", "none@none.com", "null@null.com", "a@a.com"}),
    # the address every iPhone says it has, and the id that emulators and a generation of Android phones share
    IdentityKind.DEVICE: frozenset({"02:00:00:00:00:00", "9774d56d682e549c"}),
}


def is_blocked(kind: IdentityKind, value: str) -> bool:
    """Tell whether a normalised value never leads to a person, in any group."""
    lowered = value.lower()
    if lowered in _WORDS or lowered in _OF_KIND.get(kind, _NONE):
        return True
    if kind is IdentityKind.PHONE and _ONE_DIGIT.fullmatch(lowered):
        return True
    # most values begin with a letter, and need not be looked through
    return (lowered[:1] == "0" or not lowered[:1].isalnum()) and _EMPTY.fullmatch(lowered) is not None
