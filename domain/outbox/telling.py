"""What the graph is told of fans and of the edges between them, and of what is there no more."""

from typing import Any

from domain.outbox.models import Event


def fan_changed(group_id: int, brand_id: int, fan_id: int, version: int) -> Event:
    """Tell the graph that a fan is there in this version."""
    payload = {"id": fan_id, "brand": brand_id}
    return Event(group_id, brand_id, "graph", "fan", f"fan:{fan_id}", version, payload)


def fan_gone(group_id: int, brand_id: int, fan_id: int, version: int) -> Event:
    """Tell the graph that a fan is there no more, nor any edge of theirs.

    `version` is above the fan's last one. A fan who comes back under the id needs one above that.
    """
    payload = {"id": fan_id, "brand": brand_id}
    return Event(group_id, brand_id, "graph", "fan_gone", f"fan:{fan_id}", version, payload)


def share_recorded(row: Any) -> Event:
    """Tell the graph how a cascade reached a fan."""
    payload = {
        "cascade": row["cascade_id"],
        "from": row["from_fan_id"],
        "to": row["to_fan_id"],
        "brand": row["brand_id"],
        "channel": row["channel"],
        "at": int(row["shared_at"].timestamp() * 1000),
    }
    key = f"share:{row['cascade_id']}:{row['to_fan_id']}"
    return Event(row["group_id"], row["brand_id"], "graph", "share", key, 1, payload)


def share_gone(group_id: int, brand_id: int, cascade_id: int, to_fan_id: int) -> Event:
    """Tell the graph that a cascade did not reach a fan after all; needless where an end of the share is gone."""
    payload = {"cascade": cascade_id, "to": to_fan_id, "brand": brand_id}
    return Event(group_id, brand_id, "graph", "share_gone", f"share:{cascade_id}:{to_fan_id}", 1, payload)


def fan_referred(row: Any) -> Event:
    """Tell the graph who brought a fan."""
    payload = {
        "referrer": row["referrer_fan_id"],
        "invitee": row["invitee_fan_id"],
        "brand": row["brand_id"],
        "at": int(row["referred_at"].timestamp() * 1000),
    }
    key = f"referral:{row['invitee_fan_id']}"
    return Event(row["group_id"], row["brand_id"], "graph", "referral", key, 1, payload)


def referral_gone(group_id: int, brand_id: int, invitee_fan_id: int) -> Event:
    """Tell the graph that a fan was brought by nobody; needless where an end of the referral is gone."""
    payload = {"invitee": invitee_fan_id, "brand": brand_id}
    return Event(group_id, brand_id, "graph", "referral_gone", f"referral:{invitee_fan_id}", 1, payload)
