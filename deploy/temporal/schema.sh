#!/bin/sh
# Creates Temporal's two databases and brings their schemas up to date. Safe to run again.
set -eu

tool() {
  database=$1
  shift
  temporal-sql-tool --plugin "$SQL_PLUGIN" --ep "$SQL_HOST" --port "$SQL_PORT" --user "$SQL_USER" --db "$database" "$@"
}

prepare() {
  tool "$1" create
  tool "$1" setup-schema --version 0.0
  tool "$1" update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
