"""findmnt: the root and what is mounted, as a tree, a list, pairs or JSON. Status 1: nothing found.

As util-linux does, JSON without an operand nests mounts in their parent's `children`, unless
`--list` asks for a flat answer.
"""

from __future__ import annotations

import json

from lab.hosts.shims.command import disks, option, say, split

WITH_VALUE = (
    "-o", "--output", "-t", "--types", "-S", "--source", "-T", "--target",
    "-M", "--mountpoint", "-O", "--options", "-F", "--tab-file", "-N", "--task",
)  # fmt: skip
DEFAULT = "TARGET,SOURCE,FSTYPE,OPTIONS"
Row = dict[str, "str | None"]


def main(args: list[str]) -> int:
    options, operands = split(args, WITH_VALUE)
    columns = [name.strip().lower() for name in (option(options, "-o", "--output") or DEFAULT).split(",")]
    rows = [row for row in _table() if _asked_for(row, options, operands)]
    if not rows:
        return 1
    if option(options, "-J", "--json") is not None:
        nested = len(rows) > 1 and option(options, "-l", "--list") is None
        say(
            json.dumps({"filesystems": _tree(rows, columns) if nested else [_pick(r, columns) for r in rows]}, indent=3)
        )
    elif option(options, "-P", "--pairs") is not None:
        for row in rows:
            say(" ".join(f'{name.upper()}="{row.get(name) or ""}"' for name in columns))
    else:
        _print(rows, columns, options)
    return 0


def _table() -> list[Row]:
    host_disks = disks()
    root = next((disk for disk in host_disks.plugged() if disk.is_root), None)
    rows: list[Row] = [
        {
            "target": "/",
            "source": root.device if root else "/dev/xvda1",
            "fstype": root.fstype if root else "ext4",
            "options": "rw,relatime",
            "uuid": root.uuid if root else None,
            "label": None,
        }
    ]
    for target, row in sorted(host_disks.mounts().items()):
        rows.append({"target": target, "source": row["device"], "label": None} | _rest(row))
    return rows


def _rest(row: dict[str, str]) -> Row:
    return {"fstype": row["fstype"], "options": row["options"], "uuid": row["uuid"]}


def _asked_for(row: Row, options: dict[str, str], operands: list[str]) -> bool:
    names = (row["target"], row["source"], f"UUID={row['uuid']}", f"/dev/disk/by-uuid/{row['uuid']}")
    source, types = option(options, "-S", "--source"), option(options, "-t", "--types")
    point = option(options, "-M", "--mountpoint", "-T", "--target")
    return (
        all(word.rstrip("/") in names or word in names for word in operands)
        and (source is None or source in names)
        and (types is None or row["fstype"] in types.split(","))
        and (point is None or (point.rstrip("/") or "/") == row["target"])
    )


def _pick(row: Row, columns: list[str]) -> Row:
    return {name: row.get(name) for name in columns}


def _tree(rows: list[Row], columns: list[str]) -> list[dict[str, object]]:
    first: dict[str, object] = dict(_pick(rows[0], columns))
    rest: list[dict[str, object]] = [dict(_pick(row, columns)) for row in rows[1:]]
    return [first | {"children": rest}] if rows[0]["target"] == "/" else [first, *rest]


def _print(rows: list[Row], columns: list[str], options: dict[str, str]) -> None:
    lines = [[row.get(name) or "" for name in columns] for row in rows]
    if option(options, "-n", "--noheadings") is None:
        lines.insert(0, [name.upper() for name in columns])
    raw = option(options, "-r", "--raw") is not None
    widths = [0 if raw else max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        say(" ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
