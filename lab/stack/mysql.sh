#!/usr/bin/env bash
# A real MySQL server on loopback, beside whatever database this machine has: for the tests.
# Debian's own release has MariaDB alone. So its unstable release is unpacked into a folder of its own, from the
# mirror that this machine's package client uses, and mysqld runs from there in a chroot; the machine's own packages
# stay as they are. Needs root, Debian's debootstrap, 1 GB of disk, and two minutes the first time.
#
#   lab/stack/mysql.sh start   install where missing, start, wait; prints DATABASE_URL
#   lab/stack/mysql.sh stop    stop it
#   lab/stack/mysql.sh remove  stop it and delete all of it
#   MYSQL_ROOT=DIR         where it lives (default /var/tmp/spot-optimizer-mysql)
#   MYSQL_PORT=PORT        where it listens (default 3406)
#
# Exit code 3: it cannot be had here, and why.
set -euo pipefail

root=${MYSQL_ROOT:-/var/tmp/spot-optimizer-mysql}
port=${MYSQL_PORT:-3406}
pidfile=$root/mysqld.pid
password_file=$root/account.password
log=$root/mysqld.log

say() { echo "mysql: $*" >&2; }
unavailable() { say "$*"; exit 3; }
running() { [ -f "$pidfile" ] && [ "$(cat "/proc/$(cat "$pidfile")/comm" 2>/dev/null)" = mysqld ]; }
inside() { chroot "$root" "$@"; }

mirror() {
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *(https?:[^ ]+\/debian)\/?( .*)?$/\3/p' | grep -v security | head -n 1 || true
}

install() {
  [ -e "$root/installed" ] && return
  [ "$(id -u)" = 0 ] || unavailable "only root can install and run it"
  if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || unavailable "debootstrap is not installed, and there is no apt-get to install it"
    say "installing debootstrap"
    { apt-get -qq -o DPkg::Lock::Timeout=300 update &&
      DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends debootstrap; } >/dev/null 2>&1 || unavailable "debootstrap cannot be installed"
  fi
  local from; from=$(mirror)
  [ -n "$from" ] || unavailable "no Debian mirror in this machine's package sources"
  say "installing into $root; what is said meanwhile is in $log"
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  { debootstrap --variant=minbase sid "$root" "$from" &&
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d" &&
    DEBIAN_FRONTEND=noninteractive inside apt-get install -y -qq --no-install-recommends mysql-server; } \
    >>"$log" 2>&1 || unavailable "it cannot be installed: $(tail -n 3 "$log" | tr '\n' ' ')"
  touch "$root/installed"
}

initialise() {
  [ -e "$root/initialised" ] && return
  rm -rf "$root/data"
  mkdir -m 700 "$root/data"
  inside mysqld --no-defaults --initialize-insecure --user=root --datadir=/data >>"$log" 2>&1
  (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$password_file")
  touch "$root/initialised"
}

# What the server carries out as it starts; each line may be carried out again.
grants() {
  local account="'spot'@'127.0.0.1'" password; password=$(cat "$password_file")
  (umask 077 && cat >"$root/grants.sql") <<SQL
CREATE USER IF NOT EXISTS $account IDENTIFIED BY '$password';
ALTER USER $account IDENTIFIED BY '$password';
GRANT ALL ON \`test\\_%\`.* TO $account;
ALTER USER 'root'@'localhost' ACCOUNT LOCK;
SQL
}

ready() { (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && running; }

start() {
  install
  if ! running; then
    initialise
    grants
    # Test data: it need not outlive a crash of the machine, and without waiting for the disk a schema is made at once.
    chroot "$root" mysqld --no-defaults --user=root --datadir=/data --port="$port" --bind-address=127.0.0.1 \
      --socket=/data/mysqld.sock --pid-file=/data/mysqld.pid --init-file=/grants.sql --mysqlx=OFF --skip-log-bin \
      --skip-name-resolve --max-connections=400 --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync \
      >>"$log" 2>&1 9>&- &
    echo $! >"$pidfile"
    disown
  fi
  for _ in $(seq 120); do
    if ready; then
      echo "mysql+pymysql://spot:$(cat "$password_file")@127.0.0.1:$port/"
      return
    fi
    sleep 0.5
  done
  say "it did not come up. The last lines of $log:"
  tail -n 15 "$log" >&2
  exit 1
}

stop() {
  running || return 0
  local pid; pid=$(cat "$pidfile")
  kill "$pid"
  for _ in $(seq 60); do running || break; sleep 0.5; done
  if running; then kill -KILL "$pid"; fi
  rm -f "$pidfile"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  remove) stop; rm -rf --one-file-system "$root" ;;
  *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
