"""A model's own process: python -m forecasting.model_child. It checks the file, then answers questions until its input
ends.

It has no secrets, can write no files, and its memory is limited. Its parent ends it when it is late.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any, BinaryIO

from forecasting.framing import read_block, write_block

MEMORY = 3 * 1024**3  # of address space, most of it never touched


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions, answers = sys.stdin.buffer, _only_channel()
    content, features = read_block(questions), json.loads(read_block(questions))
    model, problem = _loaded(content, features)
    write_block(answers, problem.encode())
    answers.flush()
    while model is not None:
        try:
            asked = read_block(questions)
        except EOFError:
            return
        _answer(answers, model, asked)


def _only_channel() -> BinaryIO:
    """The pipe to the parent. What libraries print goes to stderr instead."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


def _loaded(content: bytes, features: list[str]) -> tuple[Any, str]:
    """The model, or why there is none."""
    try:
        from forecasting.model_check import BadModel, check_model_file
        from forecasting.onnx_session import OnnxSession
    except ImportError as error:
        return None, f"this installation cannot run models: {error}; install the extra `models`"
    try:
        check_model_file(content, features)
        return OnnxSession(content, features), ""
    except BadModel as error:
        return None, str(error)
    except Exception as error:  # the runtime raises many exceptions of its own
        return None, f"cannot be loaded: {_first_line(error)}"


def _answer(answers: BinaryIO, model: Any, asked: bytes) -> None:
    try:
        found, problem = model.run(asked), ""
    except Exception as error:  # any failure is one of the model
        found, problem = b"", _first_line(error)
    write_block(answers, problem.encode())
    if not problem:
        write_block(answers, found)
    answers.flush()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]


if __name__ == "__main__":
    main()
