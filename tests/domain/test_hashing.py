"""Hashes for look-up stay what is stored: the quick ways give what the plain ones give."""

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from domain.persons.models import IdentityKind
from domain.persons.rules import blocked, is_blocked
from domain.vault import KEY_BYTES, GroupVault

VAULT = GroupVault(7, 1, {1: bytes(range(2 * KEY_BYTES))})
KEY = bytes(range(KEY_BYTES, 2 * KEY_BYTES))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_values_of_one_space_hash_as_one_by_one(space: str, values: list[str]) -> None:
    find, mark = VAULT.finder(space), VAULT.marker(space)
    for value in values:
        said = f"{space}\0{value}".encode()
        assert find(value) == VAULT.find_hash(value, space) == hmac.digest(KEY, said, hashlib.sha256)
        assert mark(value) == hashlib.blake2b(said, key=KEY, digest_size=16).digest()


@given(st.sampled_from(IdentityKind), TEXTS | st.text("0_-٠.a9", max_size=5))
def test_nothing_but_zeros_and_punctuation_is_blocked_however_it_begins(kind: IdentityKind, value: str) -> None:
    if blocked._EMPTY.fullmatch(value.lower()):
        assert is_blocked(kind, value)
    elif kind is IdentityKind.OPENID:
        assert is_blocked(kind, value) == (value.lower() in blocked._WORDS)
