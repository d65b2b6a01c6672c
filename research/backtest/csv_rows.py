"""CSV files of the data folder, read strictly: plain or gzip, one header line, known columns."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from domain.backtest.contract import BadData, NoData


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One line. Its values are read by methods that raise BadData with file and line."""

    file: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        if value := self.cells[column].strip():
            return value
        raise self.bad(f"{column} is empty")

    def whole(self, column: str, least: int = 0) -> int:
        text = self.text(column)
        try:
            value = int(text)
        except ValueError:
            raise self.bad(f"{column} is {text!r}, not a whole number") from None
        if value < least:
            raise self.bad(f"{column} is {value}, less than {least}")
        return value

    def positive(self, column: str) -> float:
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.bad(f"{column} is {text!r}, not a number") from None
        if not math.isfinite(value) or value <= 0:
            raise self.bad(f"{column} is {text}, not a positive number")
        return value

    def bad(self, why: str) -> BadData:
        return BadData(self.file, self.line, why)


def read_rows(folder: Path, name: str, columns: Sequence[str]) -> Iterator[CsvRow]:
    """The lines of `name` or `name.gz`. Raise NoData if there is neither, BadData for a wrong line."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise NoData(f"{folder} has no {name}, nor {name}.gz; name the folder that holds the data")
    line = 1
    try:
        with _opened(path) as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            if missing := [column for column in columns if column not in header]:
                raise BadData(path, 1, f"no column {', '.join(missing)}")
            for cells in reader:
                line = reader.line_num
                if len(cells) != len(header):
                    raise BadData(path, line, f"{len(cells)} cells, {len(header)} expected")
                yield CsvRow(path, line, dict(zip(header, cells, strict=True)))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(path, line + 1, f"cannot be read on: {error}") from error


def exists(folder: Path, name: str) -> bool:
    return (folder / name).is_file() or (folder / f"{name}.gz").is_file()


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
