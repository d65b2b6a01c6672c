"""Savings as CSV (RFC 4180), in millionths of a dollar. Names that a spreadsheet would take for formulas are quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from domain.savings.amounts import Amounts, usd

MONEY = ("cost_usd", "primary_usd", "replica_usd", "overlap_usd", "snapshot_usd", "on_demand_usd", "saved_usd")
_QUALITY = ("unpriced_seconds", "filled_seconds")
# What spreadsheets take for the start of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def to_csv(heads: Sequence[str], rows: Iterable[tuple[Sequence[str | datetime], Amounts]]) -> str:
    """A header line, then a line for each row."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow([*heads, *MONEY, *_QUALITY])
    for labels, amounts in rows:
        lines.writerow([*(_label(one) for one in labels), *_money(amounts), amounts.unpriced_s, amounts.filled_s])
    return text.getvalue()


def _label(one: str | datetime) -> str:
    if isinstance(one, datetime):
        return one.isoformat()
    return f"'{one}" if one.startswith(_FORMULA) else one


def _money(amounts: Amounts) -> list[str]:
    parts = (amounts.cost, *amounts[:4], amounts.on_demand, amounts.saved)
    return [f"{usd(micro):.6f}" for micro in parts]
