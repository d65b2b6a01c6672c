"""`python -m db`: the schema of DATABASE_URL, and files into its records.

upgrade [REVISION] | downgrade REVISION | current
load spot-prices | on-demand | advisor FILE ...
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from db.engine import schema
from db.engine.session import SessionFactory, database_url, make_engine, make_session_factory
from db.engine.wait import address_of, wait_for_database
from db.market import file_loading
from domain.market.on_demand_prices import BadMarketFile


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        parser.error("DATABASE_URL is not set; write DATABASE_URL=mysql+pymysql://user:password@host:3306/spot")
    if given.do == "downgrade" and not given.revision:
        parser.error("downgrade to which revision? `base` empties the schema")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    wait_for_database(url, given.wait)
    if given.do == "load":
        return _load(url, given.what, given.files, given.as_of)
    print(f"{address_of(database_url(url))}: {_run(given.do, url, given.revision) or 'empty'}")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m db", description="Bring the schema of DATABASE_URL up to date, or load files into its records."
    )
    parser.add_argument(
        "--wait", type=float, default=None, metavar="S", help="give up after S seconds (default: never)"
    )
    does = parser.add_subparsers(dest="do", required=True)
    for name in ("upgrade", "downgrade", "current"):
        one = does.add_parser(name)
        one.add_argument("revision", nargs="?", help="default: head for upgrade; downgrade wants one (base: empty)")
        _waits(one)
    load = does.add_parser("load", help="files of prices and of the Spot Advisor, plain or gzip; docs/market.md")
    load.add_argument("what", choices=sorted(_LOADS))
    load.add_argument("files", nargs="+", type=Path, metavar="FILE")
    load.add_argument(
        "--as-of",
        type=_moment,
        default=None,
        help="of the Spot Advisor's JSON, which does not tell; default: when the file was last changed",
    )
    _waits(load)
    return parser


def _waits(parser: argparse.ArgumentParser) -> None:
    """Accept --wait after the command too."""
    parser.add_argument("--wait", type=float, default=argparse.SUPPRESS, metavar="S", help=argparse.SUPPRESS)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write 2025-06-28") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _run(do: str, url: str, revision: str | None) -> str | None:
    if do == "upgrade":
        return schema.upgrade(url, revision or "head")
    if do == "downgrade":
        return schema.downgrade(url, revision or "base")
    return schema.current(url)


def _load(url: str, what: str, files: Sequence[Path], as_of: datetime | None) -> int:
    """Load each file by itself; return 1 if one could not be read."""
    engine = make_engine(url)
    sessions, bad = make_session_factory(engine), 0
    for path in files:
        try:
            print(f"{path}: {_LOADS[what](sessions, path, as_of)}")  # noqa: T201
        except (BadMarketFile, OSError) as error:
            bad = 1
            print(f"{path}: {error}", file=sys.stderr)  # noqa: T201
    engine.dispose()
    return bad


def _spot_prices(sessions: SessionFactory, path: Path, as_of: datetime | None) -> str:
    kept, aside = file_loading.load_spot_prices(sessions, path, datetime.now(UTC))
    return f"{kept:,} spot prices, {aside:,} set aside"


def _on_demand(sessions: SessionFactory, path: Path, as_of: datetime | None) -> str:
    return f"{file_loading.load_on_demand(sessions, path, datetime.now(UTC)):,} on-demand prices"


def _advisor(sessions: SessionFactory, path: Path, as_of: datetime | None) -> str:
    known = as_of or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return f"{file_loading.load_bands(sessions, path, known):,} bands"


_LOADS = {"spot-prices": _spot_prices, "on-demand": _on_demand, "advisor": _advisor}


if __name__ == "__main__":
    sys.exit(main())
