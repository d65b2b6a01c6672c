#!/usr/bin/env bash
# Makes .venv and installs exactly what requirements/dev.lock names, each package by its hash.
# The second time it only compares a stamp. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.venv
stamp=$venv/.installed
wanted=$(cat requirements/dev.lock requirements/installer.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -x $venv/bin/python ]; then exit 0; fi

say() { echo "setup: $*"; }
fail() { say "$*" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3.14; do
    if new_enough "$candidate"; then command -v "$candidate"; return; fi
  done
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; } || return 1
  as_root apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
      install --no-install-recommends "$@" >/dev/null
}

python=$(find_python) || fail "Python 3.11 or newer is needed. Install it (apt-get install python3), or name one: make PYTHON=/path/to/python3.11"

if [ ! -x $venv/bin/python ]; then
  say "making $venv with $("$python" --version)"
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    say "this Python has no ensurepip; installing $package"
    apt_install "$package" || fail "install $package first: sudo apt-get install $package"
  fi
  "$python" -m venv $venv
fi

if [ ! -x $venv/bin/uv ]; then
  say "installing uv"
  $venv/bin/python -m pip --version >/dev/null 2>&1 || $venv/bin/python -m ensurepip >/dev/null
  $venv/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/installer.lock ||
    say "there is no uv for this platform; pip does it, more slowly"
fi

say "installing the packages of requirements/dev.lock"
install() {
  if [ -x $venv/bin/uv ] && $venv/bin/uv pip install --quiet --python $venv/bin/python "$@"; then return; fi
  if [ -x $venv/bin/uv ]; then say "uv could not; pip tries, more slowly"; fi
  $venv/bin/python -m pip install --disable-pip-version-check --quiet "$@"
}
install --require-hashes -r requirements/dev.lock

say "linking the project itself into $venv"
install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
echo "$wanted" >"$stamp"
say "ready"
