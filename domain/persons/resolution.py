"""Resolution: which person the identities named together by an event, an order, a login or an import belong to."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Conflict
from domain.persons import holdings
from domain.persons.carrying_out import carry_out
from domain.persons.claims import Claim
from domain.persons.holdings import Holdings
from domain.persons.naming import Batch, read_batch
from domain.persons.rules import Held, Plan, make_plan
from domain.persons.told import note_told
from domain.vault import GroupVault

__all__ = ["Claim", "Reshapes", "resolve"]

TRIES = 20


async def resolve(
    session: AsyncSession,
    keys: GroupVault,
    claims: Sequence[Claim],
    *,
    principal: str,
    brand_id: int | None = None,
    merging: bool = True,
) -> list[int | None]:
    """Return the person of each claim, in order; None for a claim that names nobody: nothing, or blocked values only.

    `brand_id` is the brand that was told: it may look for its fans by these identities from then on.
    Makes, attaches and merges as `rules.plan` says, in the caller's transaction and a constant number of statements.
    Until that ends nobody merges the persons away. To be called once in a transaction, before anything is written that
    belongs to a fan. Raises Conflict where others were always faster; and Reshapes, where it is told not to merge and
    would have to: nothing is done or locked then.
    """
    batch = await read_batch(session, keys, claims)
    if not batch.values:
        return [None] * len(claims)
    turn = _Turn(session, keys, batch, principal, brand_id)
    for _ in range(TRIES):
        # what was locked for a plan that cannot be carried out is let go with the savepoint
        savepoint = await session.begin_nested()
        people = await turn.attempt(merging=merging)
        if people is not None:
            await savepoint.commit()
            return people
        await savepoint.rollback()
        if turn.must_be_alone and not merging:
            raise Reshapes
        await turn.wait()
    raise Conflict


class Reshapes(Exception):
    """Persons would merge, or one would give an identity to another: then every claim of the batch has its say."""


class _Turn:
    """One batch on its way through locks: from plan to deed, or back to the start where others changed the ground.

    Persons a batch only leads to are locked against being merged away (KEY SHARE), those it attaches to against others
    who attach (NO KEY UPDATE), those it merges against everybody (UPDATE). Each kind is locked in the order of ids,
    and one batch of a group at a time merges, so that nobody waits in a circle. SQLite has one writer and no locks.
    """

    def __init__(
        self, session: AsyncSession, keys: GroupVault, batch: Batch, principal: str, brand_id: int | None
    ) -> None:
        self._session = session
        self._keys = keys
        self._batch = batch
        self._principal = principal
        self._brand_id = brand_id
        self._only_writer = holdings.is_sqlite(session)
        self.must_be_alone = self._is_alone = False

    async def attempt(self, *, merging: bool) -> list[int | None] | None:
        """Return the persons of the claims, or None where the batch has to begin anew."""
        held = Holdings(self._session, self._keys.group_id)
        locked = await self._lock_merging() if self._is_alone else set()
        known = await held.known(self._batch.values, lock=True)
        plan = await self._plan(held, known)
        if not plan.reshaped() <= locked and not (self._only_writer and merging):
            self.must_be_alone = True
            return None
        session, keys, brand_id = self._session, self._keys, self._brand_id
        people = await carry_out(session, keys, plan, self._batch, principal=self._principal, brand_id=brand_id)
        if people is not None and brand_id is not None:
            await note_told(session, keys.group_id, brand_id, known.values())
        return people

    async def wait(self) -> None:
        """Wait for the turn to merge, where the batch needs it. Nothing else is locked by then."""
        if self.must_be_alone and not self._is_alone:
            await holdings.merge_alone(self._session, self._keys.group_id)
            self._is_alone = True

    async def _lock_merging(self) -> set[int]:
        held = Holdings(self._session, self._keys.group_id)
        plan = await self._plan(held, await held.known(self._batch.values, lock=False), lock=False)
        return await held.lock_merging(plan.reshaped())

    async def _plan(self, held: Holdings, known: dict[bytes, Held], *, lock: bool = True) -> Plan:
        plan = make_plan(self._batch.claims, known, {}, ())
        while plan.wanting - held.loaded.keys():
            await held.load(plan.wanting, lock=lock)
            plan = make_plan(self._batch.claims, known, held.loaded, held.apart)
        return plan
