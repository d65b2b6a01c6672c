"""`python -m api.openapi [FILE]`: the API's OpenAPI 3.1 document, written without starting anything.

The same code gives the same bytes: the dashboard's types are made of the committed file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.app import create_app


def document() -> str:
    return json.dumps(create_app(None).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    if arguments:
        Path(arguments[0]).write_text(document(), encoding="utf-8")
    else:
        sys.stdout.write(document())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
