"""Personal data at rest: encrypted under a data key of the group, found by a keyed hash.

A group's key material is 64 bytes wrapped by the deployment's master key: 32 to encrypt (AES-256-GCM) and 32 to hash.
A ciphertext is version (2 bytes), nonce (12) and sealed text; a rotation makes a new version and keeps the hash key.
"""

import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.persons.models import GroupKey, IdentityKind
from domain.tables import table_of

KEY_BYTES = 32
_NONCE_BYTES = 12
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))  # RFC 2104


class VaultError(Exception):
    """The key material does not open this ciphertext: a wrong master key, or data that was tampered with."""


def _open(key: AESGCM, sealed: bytes, label: bytes) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label)
    except InvalidTag as error:
        raise VaultError("personal data cannot be opened with this master key") from error


def _seal(key: AESGCM, text: bytes, label: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, text, label)


@dataclass(frozen=True)
class GroupVault:
    """The keys of one group. `label` binds a ciphertext to its column, so that it cannot be moved to another."""

    group_id: int
    current: int
    material: dict[int, bytes]

    @cached_property
    def _ciphers(self) -> dict[int, AESGCM]:
        return {version: AESGCM(keys[:KEY_BYTES]) for version, keys in self.material.items()}

    def seal(self, text: str, label: str) -> bytes:
        """Encrypt a value of a column."""
        sealed = _seal(self._ciphers[self.current], text.encode(), f"{self.group_id}:{label}".encode())
        return self.current.to_bytes(2, "big") + sealed

    def open(self, sealed: bytes, label: str) -> str:
        """Decrypt a value of a column. Raises VaultError where the key or the column is another."""
        cipher = self._ciphers.get(int.from_bytes(sealed[:2], "big"))
        if cipher is None:
            raise VaultError("this value was sealed under a key that is not here")
        return _open(cipher, sealed[2:], f"{self.group_id}:{label}".encode()).decode()

    def find_hash(self, text: str, space: str) -> bytes:
        """Hash a value for look-up. The same value in another space (brand, kind) hashes differently."""
        key = self.material[self.current][KEY_BYTES:]
        return hmac.digest(key, f"{space}\0{text}".encode(), hashlib.sha256)

    def finder(self, space: str) -> Callable[[str], bytes]:
        """Return `find_hash` of one space, for many values: HMAC-SHA256 with key and space taken in already.

        Written out, since `hmac` asks more for a copy of its two hashes than they cost.
        """
        key = self.material[self.current][KEY_BYTES:].ljust(hashlib.sha256().block_size, b"\0")
        inner = hashlib.sha256(key.translate(_INNER) + f"{space}\0".encode()).copy
        outer = hashlib.sha256(key.translate(_OUTER)).copy

        def find(text: str) -> bytes:
            within, whole = inner(), outer()
            within.update(text.encode())
            whole.update(within.digest())
            return whole.digest()

        return find

    def marker(self, space: str) -> Callable[[str], bytes]:
        """Return a hash of 16 bytes for long texts of one space, to know them again. Costs half of `find_hash`."""
        begun = hashlib.blake2b(f"{space}\0".encode(), key=self.material[self.current][KEY_BYTES:], digest_size=16)

        def mark(text: str) -> bytes:
            whole = begun.copy()
            whole.update(text.encode())
            return whole.digest()

        return mark


class Vault:
    """Opens the groups' data keys with the master key and keeps them in memory."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise VaultError("the master key must be 32 bytes")
        self._master = AESGCM(master_key)
        self._groups: dict[int, GroupVault] = {}

    async def of_group(self, session: AsyncSession, group_id: int) -> GroupVault:
        """Return the group's keys. Raises VaultError where the group has none or the master key is another."""
        known = self._groups.get(group_id)
        if known is None:
            known = self._groups[group_id] = await self._load(session, group_id)
        return known

    async def _load(self, session: AsyncSession, group_id: int) -> GroupVault:
        keys = table_of(GroupKey)
        rows = (await session.execute(select(keys).where(keys.c.group_id == group_id))).all()
        if not rows:
            raise VaultError(f"group {group_id} has no data key")
        material = {row.version: _open(self._master, row.wrapped_key, _wrap_label(group_id)) for row in rows}
        return GroupVault(group_id, max(material), material)

    async def create_key(self, session: AsyncSession, group_id: int) -> None:
        """Give a new group its first data key."""
        wrapped = _seal(self._master, os.urandom(2 * KEY_BYTES), _wrap_label(group_id))
        row = {"group_id": group_id, "version": 1, "wrapped_key": wrapped, "created_at": clock.now()}
        await session.execute(insert(table_of(GroupKey)), [row])


def _wrap_label(group_id: int) -> bytes:
    return f"group-key:{group_id}".encode()


def normalise(kind: IdentityKind, value: str) -> str:
    """Bring an identity to the one form it is hashed in: full-width digits, spaces and +86 make no other phone."""
    # what is ASCII is in that form already
    text = (value if value.isascii() else unicodedata.normalize("NFKC", value)).strip()
    if kind is IdentityKind.PHONE:
        return normalise_phone(text)
    return text.lower() if kind is IdentityKind.EMAIL else text


def normalise_phone(text: str) -> str:
    """Return the digits of a phone number without the Chinese country code."""
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", text))
    return re.sub(r"^(?:0086|86)(?=1\d{10}$)", "", digits)


def is_phone(number: str) -> bool:
    """Tell whether normalised digits can be a phone number."""
    return 5 <= len(number) <= 15


def mask_phone(phone: str) -> str:
    """Hide the middle of a phone number: 138****3534."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "****"
