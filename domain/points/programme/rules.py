"""What a programme's settings mean. Pure."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy


@dataclass(frozen=True)
class Settings:
    """What a brand may say of its programme. `four_eyes_limit` None: one person adjusts as much as they want."""

    expiry: ExpiryPolicy = ExpiryPolicy.NEVER
    expiry_months: int | None = None
    claw_back: ClawBackPolicy = ClawBackPolicy.WITHIN_BALANCE
    four_eyes_limit: int | None = None


DEFAULTS: Final = Settings()


@dataclass(frozen=True)
class Programme:
    """A brand's programme as services take it: whose it is, in which time zone its days begin, and its settings."""

    brand_id: int
    group_id: int
    time_zone: str
    settings: Settings = DEFAULTS
    version: int = 0

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def expires_at(programme: Programme, granted_at: datetime) -> datetime | None:
    """Return when points granted at a moment expire: at a midnight of the brand, or None where they never do.

    Rolling months end with the day of the month they were granted on, or the month's last where it has no such day.
    """
    settings, zone = programme.settings, programme.zone
    granted = granted_at.astimezone(zone).date()
    if settings.expiry is ExpiryPolicy.NEVER:
        return None
    if settings.expiry is ExpiryPolicy.END_OF_YEAR:
        last = granted.replace(month=12, day=31)
    else:
        assert settings.expiry_months is not None
        year, month = divmod(granted.year * 12 + granted.month - 1 + settings.expiry_months, 12)
        last = granted.replace(year=year, month=month + 1, day=min(granted.day, monthrange(year, month + 1)[1]))
    return datetime.combine(last + timedelta(days=1), time(), zone)
