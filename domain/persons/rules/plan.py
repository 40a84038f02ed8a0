"""What a batch of claims makes of persons and identities: who attaches, who merges, and what staff must decide. Pure.

Claims are settled one after another, each in the light of those before it, so a batch ends like its claims one by one.

A *strong* identity is a unionid, an external id or a verified phone: a person has one of each kind and issuer. One can
sign in as whoever holds a strong identity or an openid. From that follow the rules:

- a claim's strong identities and openids say whose it is; persons they lead to are merged where one of them is strong;
- of two persons with strong identities of one kind and issuer neither is merged: that is a conflict, for staff;
- what is weak (an unverified phone, an email, a device) says whose a claim is where nothing better does, and brings an
  identity one signs in with only to a person nobody can sign in as yet: a typed phone opens nobody's account;
- a phone that is proved is taken from who had merely typed it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.persons.models import IdentityKind

Key = bytes
Slot = tuple[IdentityKind, str]

_RANK = {
    IdentityKind.UNIONID: 0,
    IdentityKind.EXTERNAL_ID: 1,
    IdentityKind.PHONE: 2,
    IdentityKind.OPENID: 3,
    IdentityKind.EMAIL: 4,
    IdentityKind.DEVICE: 5,
}


class Named(NamedTuple):
    """An identity as a claim names it; `key` is its hash, `verified` says that it was proved in the act."""

    key: Key
    kind: IdentityKind
    issuer: str
    verified: bool

    @property
    def slot(self) -> Slot:
        return self.kind, self.issuer


class Held(NamedTuple):
    """An identity as it is stored: whose it is, whether it was proved to be, and which brand was told of it first."""

    id: int
    person_id: int
    verified: bool
    first_brand_id: int | None = None


class Holding(NamedTuple):
    """One identity of a person."""

    key: Key
    kind: IdentityKind
    issuer: str
    verified: bool


class Merge(NamedTuple):
    """Two stored persons turn out to be one, by an identity of a claim."""

    survivor: int
    absorbed: int
    by: Named
    claim: int


class Conflict(NamedTuple):
    """A claim names two persons as one whose strong identities differ, or whom staff keep apart."""

    one: int
    other: int
    by: Named
    claim: int


@dataclass
class Plan:
    """What to do. A person below zero is new. `wanting` are persons whose holdings the plan should have known."""

    people: list[int | None] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    attach: list[tuple[Named, int]] = field(default_factory=list)
    prove: list[int] = field(default_factory=list)
    hand_over: list[tuple[int, int, int]] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    wanting: set[int] = field(default_factory=set)

    def reshaped(self) -> set[int]:
        """Return the stored persons who merge, or lose or gain an identity that somebody held."""
        merging = {person for merge in self.merges for person in (merge.survivor, merge.absorbed)}
        return merging | {person for _, *ends in self.hand_over for person in ends if person > 0}


def make_plan(
    claims: Sequence[Sequence[Named]],
    known: Mapping[Key, Held],
    holdings: Mapping[int, Sequence[Holding]],
    apart: Collection[tuple[int, int]],
) -> Plan:
    """Settle the claims in order. `apart` are pairs of persons, the lower first, who are not to be merged."""
    state = _State(known, holdings, apart)
    targets = [state.settle(number, claim) if claim else None for number, claim in enumerate(claims)]
    return state.plan(targets)


class _State:
    """Persons, stored and new, and what they hold as the claims settled so far leave it."""

    def __init__(
        self,
        known: Mapping[Key, Held],
        holdings: Mapping[int, Sequence[Holding]],
        apart: Collection[tuple[int, int]],
    ) -> None:
        self._known = known
        self._holdings = holdings
        self._holder: dict[Key, int] = {key: held.person_id for key, held in known.items()}
        self._proved: dict[Key, bool] = {key: held.verified for key, held in known.items()}
        self._named: dict[Key, Named] = {}
        self._above: dict[int, int] = {}
        self._slots: dict[int, dict[Slot, set[Key]]] = {}
        self._signing: set[int] = set()
        self._apart = {frozenset(pair) for pair in apart}
        self._made = 0
        self._plan = Plan()

    def settle(self, number: int, claim: Sequence[Named]) -> int:
        """Return the person of a claim, after having done to the state what it says."""
        settled = self._as_it_stands(claim)
        if settled is not None:
            return settled
        ranked = sorted(claim, key=lambda named: (_RANK[named.kind], named.key))
        signing = [named for named in ranked if _signs_in(named)]
        target = self._by_signing(number, signing)
        if target is None:
            target = self._by_weak([named for named in ranked if not _signs_in(named)], alone=not signing)
        if target is None:
            target = self._new()
        for named in ranked:
            self._named.setdefault(named.key, named)
            self._place(number, named, target)
        return self._root(target)

    def plan(self, targets: Sequence[int | None]) -> Plan:
        """Return the plan for the state the claims led to."""
        plan = self._plan
        plan.people = [None if target is None else self._root(target) for target in targets]
        for key, named in self._named.items():
            self._change(plan, key, named)
        used = {*plan.people, *(to for _, to in plan.attach), *(to for *_, to in plan.hand_over)}
        plan.made = sorted((person for person in used if person is not None and person < 0), reverse=True)
        plan.merges = [merge._replace(survivor=self._root(merge.survivor)) for merge in plan.merges]
        plan.conflicts = self._standing(plan.conflicts)
        return plan

    def _change(self, plan: Plan, key: Key, named: Named) -> None:
        held, now = self._known.get(key), self._root(self._holder[key])
        if held is None:
            plan.attach.append((named._replace(verified=self._proved[key]), now))
            return
        if self._proved[key] and not held.verified:
            plan.prove.append(held.id)
        if self._root(held.person_id) != now:
            plan.hand_over.append((held.id, held.person_id, now))

    def _standing(self, conflicts: Sequence[Conflict]) -> list[Conflict]:
        found: dict[frozenset[int], Conflict] = {}
        for conflict in conflicts:
            pair = frozenset({self._root(conflict.one), self._root(conflict.other)})
            if len(pair) == 2:
                one, other = sorted(pair)
                found.setdefault(pair, conflict._replace(one=one, other=other))
        return list(found.values())

    def _as_it_stands(self, claim: Sequence[Named]) -> int | None:
        """Return the person of a claim that says nothing new, or None."""
        root = None
        for named in claim:
            holder = self._holder.get(named.key)
            if holder is None or (named.verified and not self._proved[named.key]):
                return None
            above = self._root(holder)
            if root is not None and above != root:
                return None
            root = above
        return root

    def _by_signing(self, number: int, signing: Sequence[Named]) -> int | None:
        found: dict[int, Named] = {}
        for named in signing:
            holder = self._leads_to(named)
            if holder is not None:
                found.setdefault(holder, named)
        if not found:
            return None
        # of equal rank the person who was there first
        order = sorted(found, key=lambda person: (_RANK[found[person].kind], person < 0, abs(person)))
        target, strong = order[0], [named for named in signing if _is_strong(named)]
        for other in order[1:] if strong else ():
            by = found[other] if _is_strong(found[other]) else strong[0]
            target = self._join(number, target, other, by, strong)
        return target

    def _leads_to(self, named: Named) -> int | None:
        """Return whom an identity leads to; what somebody merely typed leads nowhere when another proves it."""
        holder = self._holder.get(named.key)
        if holder is None:
            return None
        root = self._root(holder)
        return None if self._is_taken(named) and self._signs(root) else root

    def _is_taken(self, named: Named) -> bool:
        return named.verified and named.kind is IdentityKind.PHONE and not self._proved[named.key]

    def _by_weak(self, weak: Sequence[Named], *, alone: bool) -> int | None:
        for named in weak:
            holder = self._holder.get(named.key)
            if holder is not None and (alone or not self._signs(self._root(holder))):
                return self._root(holder)
        return None

    def _join(self, number: int, target: int, other: int, by: Named, strong: Sequence[Named]) -> int:
        if self._differ(target, other):
            self._plan.conflicts.append(Conflict(target, other, by, number))
            return target
        if not all(self._accepts(person, named) for person in (target, other) for named in strong):
            return target  # it is about the person who holds another of that kind: placing it says so
        survivor, absorbed = sorted((target, other), key=lambda person: (person < 0, abs(person)))
        for slot, keys in self._slots_of(absorbed).items():
            self._slots_of(survivor).setdefault(slot, set()).update(keys)
        if self._signs(absorbed):
            self._signing.add(survivor)
        self._above[absorbed] = survivor
        self._apart = {frozenset(survivor if p == absorbed else p for p in pair) for pair in self._apart}
        if absorbed > 0:
            self._plan.merges.append(Merge(survivor, absorbed, by, number))
        return survivor

    def _differ(self, one: int, other: int) -> bool:
        if frozenset((one, other)) in self._apart:
            return True
        return bool(self._slots_of(one).keys() & self._slots_of(other).keys())

    def _accepts(self, person: int, named: Named) -> bool:
        held = self._slots_of(person).get(named.slot)
        return not held or named.key in held or self._leads_to(named) is not None

    def _place(self, number: int, named: Named, target: int) -> None:
        holder = self._holder.get(named.key)
        root = None if holder is None else self._root(holder)
        if root is not None and not (self._is_taken(named) and (root == target or self._signs(root))):
            return
        if _is_strong(named) and self._slots_of(target).get(named.slot, set()) - {named.key}:
            other = self._new()
            self._plan.conflicts.append(Conflict(target, other, named, number))
            target = other
        self._give(named, target)

    def _give(self, named: Named, person: int) -> None:
        self._holder[named.key] = person
        self._proved[named.key] = named.verified or self._proved.get(named.key, False)
        if _is_strong(named):
            self._slots_of(person).setdefault(named.slot, set()).add(named.key)
        if _signs_in(named):
            self._signs(person)
            self._signing.add(person)

    def _new(self) -> int:
        self._made -= 1
        self._slots[self._made] = {}
        return self._made

    def _root(self, person: int) -> int:
        while person in self._above:
            person = self._above[person]
        return person

    def _slots_of(self, person: int) -> dict[Slot, set[Key]]:
        if person not in self._slots:
            self._load(person)
        return self._slots[person]

    def _signs(self, person: int) -> bool:
        """Tell whether one can sign in as the person."""
        if person not in self._slots:
            self._load(person)
        return person in self._signing

    def _load(self, person: int) -> None:
        if person not in self._holdings:
            self._plan.wanting.add(person)
        slots: dict[Slot, set[Key]] = {}
        for held in self._holdings.get(person, ()):
            named = Named(held.key, held.kind, held.issuer, held.verified)
            if _is_strong(named):
                slots.setdefault(named.slot, set()).add(held.key)
            if _signs_in(named):
                self._signing.add(person)
        self._slots[person] = slots


def _is_strong(named: Named) -> bool:
    if named.kind is IdentityKind.PHONE:
        return named.verified
    return named.kind in (IdentityKind.UNIONID, IdentityKind.EXTERNAL_ID)


def _signs_in(named: Named) -> bool:
    return named.kind is IdentityKind.OPENID or _is_strong(named)
