"""Money is kept as a whole number of minor units (分) and spoken of as a decimal of the currency."""

from decimal import Decimal

# ISO 4217 currencies whose minor unit is not a hundredth
EXPONENTS = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "BHD": 3,
    "IQD": 3,
    "JOD": 3,
    "KWD": 3,
    "OMR": 3,
    "TND": 3,
}
MAX_MINOR = 10**15  # far above any order, far below 2^63 when thousands of them are summed


def exponent(currency: str) -> int:
    """Return how many decimals the currency has."""
    return EXPONENTS.get(currency, 2)


def to_minor(amount: Decimal, currency: str) -> int:
    """Return the amount in minor units. Raises ValueError for one the currency cannot have, or a huge one."""
    if not amount.is_finite() or amount < 0 or amount.adjusted() > 20:
        raise ValueError("must be an amount of zero or more")
    minor = amount.scaleb(exponent(currency)).to_integral_value()
    if minor > MAX_MINOR:
        raise ValueError("is too large")
    # compared with what was sent: scaling rounds what has more digits than a calculation keeps
    if to_decimal(int(minor), currency) != amount:
        raise ValueError(f"has more decimals than {currency}")
    return int(minor)


def to_decimal(minor: int, currency: str) -> Decimal:
    """Return minor units as a decimal of the currency with all its places."""
    return Decimal(minor).scaleb(-exponent(currency))
