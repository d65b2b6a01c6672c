"""The rounding rule of the ledger, in one place: whole millionths of a dollar, half to even.

An amount is taken exactly (`domain.market.instance_cost`: micro-dollars per hour times microseconds) and rounded once,
when it becomes a part of an entry. Everything above an entry is a sum of whole numbers, so hours, days, months,
servers and clients agree to the last digit, however they are cut.
"""

from __future__ import annotations

from decimal import Decimal

US_PER_HOUR = 3_600_000_000
MICRO_PER_USD = 1_000_000


def rounded(micro_usd_us: int) -> int:
    """Micro-dollars per hour times microseconds -> whole micro-dollars, half to even."""
    whole, rest = divmod(micro_usd_us, US_PER_HOUR)
    twice = 2 * rest
    return whole + (twice > US_PER_HOUR or (twice == US_PER_HOUR and whole % 2 == 1))


def micro_usd(usd: Decimal) -> int:
    """A price of six decimals as a whole number."""
    return int(usd.scaleb(6))


def usd(micro: int) -> Decimal:
    """Whole micro-dollars as dollars of six decimals; exact."""
    return Decimal(micro).scaleb(-6)
