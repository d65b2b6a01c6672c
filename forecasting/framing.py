"""The protocol with a model's process: blocks of a length and bytes. No pickle, no code.

First the file, then the features' names as JSON; the answer is a problem in words, empty for none. Then questions,
each a block of float32 rows; the answer is a problem and, if that is empty, a block of float32 values.
"""

from __future__ import annotations

import struct
from typing import IO

_COUNT = struct.Struct("<I")


def write_block(stream: IO[bytes], content: bytes) -> None:
    stream.write(_COUNT.pack(len(content)) + content)


def read_block(stream: IO[bytes]) -> bytes:
    """Raise EOFError when the other side has ended."""
    (count,) = _COUNT.unpack(read_exactly(stream, _COUNT.size))
    return read_exactly(stream, count)


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = stream.read(count - len(found))
        if not more:
            raise EOFError("the other side has ended")
        found += more
    return found
