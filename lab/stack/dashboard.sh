#!/usr/bin/env bash
# The web page: lab/stack/dashboard.sh build | try | check | test
#
# build   make dashboard/dist, unless nothing has changed since it was made
# try     the same, for what can do without: no Node or no packages is said and is no failure
# check   types, lint and format of its sources
# test    its own tests
# Node 20 or newer is taken from PATH, else from the package manager, else installed beside .venv.
# Exit code 3: Node or the packages cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

page=dashboard
what=${1:-build}
own_node=.venv/node
say() { echo "dashboard: $*" >&2; }
unavailable() {
  say "$*"
  if [ "$what" = try ]; then
    say "going on without the page"
    exit 0
  fi
  exit 3
}
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
new_enough() {
  command -v npm >/dev/null && node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null
}
hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

node_by_apt() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; } || return 1
  root apt-get -qq -o DPkg::Lock::Timeout=300 update || return 1
  apt-cache policy nodejs | grep -qE 'Candidate: *[0-9:]*(2[0-9]|[3-9][0-9])\.' || return 1
  say "installing nodejs and npm"
  root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends nodejs npm >/dev/null
}

node_by_pip() {
  [ -x .venv/bin/python ] || return 1
  say "installing Node into $own_node"
  .venv/bin/python -m venv --without-pip "$own_node" &&
    .venv/bin/uv pip install --quiet --require-hashes --python "$own_node/bin/python" -r requirements/node.lock
}

find_node() {
  if [ -x "$own_node/bin/npm" ]; then PATH="$PWD/$own_node/bin:$PATH"; fi
  new_enough && return
  node_by_apt && hash -r && new_enough && return
  node_by_pip && PATH="$PWD/$own_node/bin:$PATH" && hash -r && new_enough && return
  unavailable "Node 20 or newer with npm is needed and cannot be installed here; install it (nodejs.org), then: make dashboard"
}

packages() {
  local wanted log=var/log/npm.log
  wanted=$(hash_of $page/package.json $page/package-lock.json)
  [ "$(cat $page/node_modules/.installed 2>/dev/null)" = "$wanted" ] && return
  say "installing the packages of $page/package-lock.json"
  mkdir -p var/log
  # Left to itself npm asks a registry that cannot be reached for minutes before it says so.
  if ! npm ci --prefix $page --no-audit --no-fund --loglevel=error \
    --fetch-retries=2 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 --fetch-timeout=60000 >$log 2>&1; then
    tail -n 15 $log >&2
    unavailable "npm could not install the packages; $log has more"
  fi
  echo "$wanted" >$page/node_modules/.installed
}

sources() {
  find $page -type f -not -path '*/node_modules/*' -not -path "$page/dist/*" -not -path '*/coverage/*' -not -name schema.d.ts -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

build() {
  local wanted
  wanted=$(sources)
  [ "$(cat $page/dist/.built 2>/dev/null)" = "$wanted" ] && return
  find_node
  packages
  say "building the page"
  mkdir -p var/log
  if ! npm run build --prefix $page >var/log/dashboard.log 2>&1; then
    tail -n 30 var/log/dashboard.log >&2
    say "the page could not be built; var/log/dashboard.log has it all"
    exit 1
  fi
  echo "$wanted" >$page/dist/.built
}

[ -f $page/package.json ] || unavailable "there is no $page/package.json"
case "$what" in
  build | try) build ;;
  check | test)
    find_node
    packages
    npm run "$what" --silent --prefix $page
    ;;
  *)
    say "it can be build, try, check or test"
    exit 2
    ;;
esac
