"""What the agent keeps across its own restarts: small JSON files in the state directory.

No secret is kept there. When the directory cannot be written, the agent works on and forgets at its restart.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

REGISTRATION = "registration"  # where Temporal was when we last registered
WARM_UP = "warm-up"  # the warm-up hook's run of this boot
QUIESCED = "quiesced"  # this host was fenced


class StateDir:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> dict[str, object]:
        """What was kept under the name. Empty when nothing was, or when it cannot be read."""
        try:
            found = json.loads(self._path(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("cannot read %s, going on without it: %s", self._path(name), error)
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, name: str, value: dict[str, object]) -> None:
        """Replace in one step: an agent killed here leaves the old state or the new one."""
        draft = self._path(name + ".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(value), encoding="utf-8")
            os.replace(draft, self._path(name))
        except OSError as error:
            log.warning("cannot write %s, a restart will not know of it: %s", self._path(name), error)

    def remove(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove %s: %s", self._path(name), error)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
