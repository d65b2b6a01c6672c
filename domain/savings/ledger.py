"""Entries: what is added to the ledger so that it says what is known now. None is ever changed.

An entry of an hour and server is the difference between what the hour comes to and what is booked of it. So the
same accrual again adds nothing, and any order of accruals and corrections ends in the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.savings.amounts import NOTHING, Amounts


class EntryReason(StrEnum):
    ACCRUAL = "accrual"  # time that had not been booked yet
    CORRECTION = "correction"  # booked time came to something else: a late price, or something else ran


@dataclass(frozen=True, slots=True)
class BookedHour:
    """The sum of an hour's entries. `until_at`: up to when the hour has been booked."""

    amounts: Amounts = NOTHING
    until_at: datetime | None = None
    entries: int = 0


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """`number`: of the hour's entries, from 0. With server and hour it is the key: none is written twice."""

    number: int
    amounts: Amounts
    until_at: datetime
    reason: EntryReason


def difference_entry(booked: BookedHour, found: Amounts, until_at: datetime) -> LedgerEntry | None:
    """What has to be added so that the hour comes to `found`, as of `until_at`; None: nothing."""
    difference = found.minus(booked.amounts)
    if difference == NOTHING:
        return None
    again = booked.until_at is not None and booked.until_at >= until_at
    return LedgerEntry(booked.entries, difference, until_at, EntryReason.CORRECTION if again else EntryReason.ACCRUAL)


def booked_until(booked: BookedHour, hour_end: datetime, now: datetime) -> datetime:
    """Up to when the hour is to be booked: never less than it is, by whichever clock."""
    latest = now if booked.until_at is None else max(now, booked.until_at)
    return min(hour_end, latest)
