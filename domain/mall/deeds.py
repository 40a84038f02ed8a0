"""What of redemptions goes into the audit log: what staff and services do."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit

# what a fan does themselves is on their timeline, and what time does is said by the row
_UNLOGGED = ("fan:", "system:")


async def record(
    session: AsyncSession, principal: str, of: Any, redemption_id: int, action: str, detail: dict[str, Any]
) -> None:
    """Write down what was done to a redemption; `of` is a row of its brand."""
    if not principal.startswith(_UNLOGGED):
        deed = audit.Deed(of.group_id, of.brand_id, action, f"Redemption:{redemption_id}", detail)
        await audit.record(session, principal, [deed])
