"""What the policy would have done: with a folder of history here, or with your own servers over the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backtest.command import OUT, replay
from backtest.errors import BacktestError
from cli.client import CliError
from cli.session import in_words


@in_words
def backtest(
    context: typer.Context,
    data: Annotated[Path | None, typer.Argument(help="Folder with traces_*.csv, prices_*.csv, ondemand.csv")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A folder: few windows, few groups")] = False,
    out: Annotated[Path, typer.Option("--out", help="A folder: where its report goes")] = OUT,
) -> None:
    """Replay history through the decision policy: a folder's, here, or your servers' own."""
    if data is not None:
        _folder(data, quick, out)
        return
    raise CliError("name a folder with history, or servers with --server")


def _folder(data: Path, quick: bool, out: Path) -> None:
    try:
        replay(data, quick=quick, out=out)
    except BacktestError as error:
        raise CliError(str(error)) from error
