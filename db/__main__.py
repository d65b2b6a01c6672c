"""`python -m db upgrade | downgrade REVISION | current`, on the database of DATABASE_URL."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from db import schema
from db.session import database_url
from db.wait import place, wait_for_database


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m db", description="Bring the schema of DATABASE_URL up to date.")
    parser.add_argument("do", choices=["upgrade", "downgrade", "current"])
    parser.add_argument("revision", nargs="?", help="default: head for upgrade; downgrade wants one (base: empty)")
    parser.add_argument(
        "--wait", type=float, default=None, metavar="S", help="give up after S seconds (default: never)"
    )
    given = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        parser.error("DATABASE_URL is not set; write DATABASE_URL=mysql+pymysql://user:password@host:3306/spot")
    if given.do == "downgrade" and not given.revision:
        parser.error("downgrade to which revision? `base` empties the schema")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    wait_for_database(url, given.wait)
    print(f"{place(database_url(url))}: {_run(given.do, url, given.revision) or 'empty'}")  # noqa: T201
    return 0


def _run(do: str, url: str, revision: str | None) -> str | None:
    if do == "upgrade":
        return schema.upgrade(url, revision or "head")
    if do == "downgrade":
        return schema.downgrade(url, revision or "base")
    return schema.current(url)


if __name__ == "__main__":
    sys.exit(main())
