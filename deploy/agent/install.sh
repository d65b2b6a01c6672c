#!/usr/bin/env bash
# Installs the agent on an EC2 instance (Debian, Ubuntu or Amazon Linux with systemd) from a copy of
# this repository. Run it again to upgrade.
#
#   sudo SPOT_CONTROL_URL=https://spot.example.com SPOT_TOKEN=spt_client_... deploy/agent/install.sh
#
# The token is a client's: it registers this host. It is kept in a file that root alone reads.
# Hooks (stop, start, health, ...) are executables in /etc/spot-optimizer/hooks.
set -euo pipefail

fail() { echo "install: $*" >&2; exit 1; }

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=/opt/spot-optimizer
settings=/etc/spot-optimizer/agent.json

[ "$(id -u)" = 0 ] || fail "needs root: it installs a system service"
command -v systemctl >/dev/null || fail "needs systemd"

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13; do
    if "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}
python=$(find_python) || fail "needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)"

if [ ! -e "$settings" ]; then
  : "${SPOT_CONTROL_URL:?set it to the URL of the control plane}"
  : "${SPOT_TOKEN:?set it to the token of a client}"
fi

echo "install: packages into $target/venv"
mkdir -p "$target" /etc/spot-optimizer/hooks
"$python" -m venv "$target/venv"
"$target/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  --only-binary=:all: --requirement "$source/requirements/agent.lock"

echo "install: the agent into $target/lib"
rm -rf "$target/lib.new"
mkdir "$target/lib.new"
mkdir "$target/lib.new/telemetry"
cp -r "$source/agent" "$source/domain" "$target/lib.new/"
cp "$source/telemetry/__init__.py" "$source/telemetry/logs.py" "$target/lib.new/telemetry/"
find "$target/lib.new" -name __pycache__ -prune -exec rm -rf {} +
rm -rf "$target/lib"
mv "$target/lib.new" "$target/lib"

if [ -n "${SPOT_TOKEN:-}" ]; then
  echo "install: settings into $settings"
  (
    umask 077
    "$python" - "$settings" <<'PY'
import json, os, sys
names = ("SPOT_CONTROL_URL", "SPOT_TOKEN", "SPOT_TEMPORAL_ADDRESS", "SPOT_TEMPORAL_NAMESPACE")
with open(sys.argv[1] + ".new", "w") as file:
    json.dump({name.lower(): os.environ[name] for name in names if os.environ.get(name)}, file, indent=2)
os.replace(sys.argv[1] + ".new", sys.argv[1])
PY
  )
fi

install -m 644 "$source/deploy/systemd/spot-agent.service" /etc/systemd/system/spot-agent.service
systemctl daemon-reload
systemctl enable --quiet spot-agent
systemctl restart spot-agent
echo "install: done; follow it with: journalctl -u spot-agent -f"
