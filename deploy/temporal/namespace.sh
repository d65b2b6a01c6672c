#!/bin/sh
# Creates the namespace if it is not there. The caller retries: the server may still be starting.
set -eu

temporal operator cluster health
if ! temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace create --namespace "$NAMESPACE" --retention 30d
fi
