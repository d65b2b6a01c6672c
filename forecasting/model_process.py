"""A model's process, seen from outside: started with the first question, ended when it is late, and started again.

ModelRefused     the file cannot be used as a model: final
ForecastFailed   this question got no answer in time, or none at all
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from domain.forecasting.forecaster import ForecastFailed
from forecasting.framing import read_block, write_block

MAX_BYTES = 512 * 1024
START_S = 20.0
ANSWER_S = 2.0
ROWS = 8192  # asked at once

_ROOT = Path(__file__).resolve().parent.parent


class ModelRefused(Exception):
    """The file cannot be used as a model; the message says why."""


class ModelProcess:
    """One model. Several threads may ask; their questions are answered one after another."""

    def __init__(
        self, content: bytes, features: Sequence[str], *, answer_s: float | None = None, start_s: float | None = None
    ) -> None:
        if len(content) > MAX_BYTES:
            raise ModelRefused(f"the file has {len(content)} bytes; a model may have {MAX_BYTES} at most")
        self._content, self._features = content, list(features)
        self._answer_s = ANSWER_S if answer_s is None else answer_s
        self._start_s = START_S if start_s is None else start_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Check and load the file, if that is not done yet. Raise ModelRefused or ForecastFailed."""
        with self._lock:
            self._started()

    def ask(self, rows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        """(losses per hour, price ratio) of each row."""
        with self._lock:
            process = self._started()
            found: list[tuple[float, float]] = []
            for at in range(0, len(rows), ROWS):
                found += self._exchange(process, rows[at : at + ROWS])
            return found

    def close(self) -> None:
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        command = [sys.executable, "-m", "forecasting.model_child"]
        # An empty environment: ours holds secrets.
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=_ROOT, env={}
            )
        except OSError as error:  # no memory, too many files: the built-in hazard needs neither
            raise ForecastFailed(f"its process could not be started: {error}") from error
        self._process = process
        with self._within(self._start_s, process, "starting"):
            assert process.stdin
            assert process.stdout
            write_block(process.stdin, self._content)
            write_block(process.stdin, json.dumps(self._features).encode())
            process.stdin.flush()
            problem = read_block(process.stdout).decode()
        if problem:
            self._end()
            raise ModelRefused(problem)
        return process

    def _exchange(self, process: subprocess.Popen[bytes], rows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        values = array("f", [value for row in rows for value in row])
        assert process.stdin
        assert process.stdout
        with self._within(self._answer_s, process, f"answering for {len(rows)} pools"):
            write_block(process.stdin, values.tobytes())
            process.stdin.flush()
            if problem := read_block(process.stdout).decode():
                raise ForecastFailed(problem)
            found = array("f")
            found.frombytes(read_block(process.stdout))
        if len(found) != 2 * len(rows):
            raise ForecastFailed(f"{len(found)} values for {len(rows)} pools")
        return list(zip(found[::2], found[1::2], strict=True))

    @contextmanager
    def _within(self, seconds: float, process: subprocess.Popen[bytes], doing: str) -> Iterator[None]:
        """End the process when it is late. Its pipes close then, so that nobody waits at them any longer."""
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            self._end()
            why = f"no answer within {seconds:g} s" if late.is_set() else "its process ended"
            raise ForecastFailed(f"{why}, {doing}") from error
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # something was still to be written to a process that is gone
                    pipe.close()
