#!/usr/bin/env bash
# Attaches a running server to a master, without stopping either, and waits until it has everything.
#
#   attach-slave.sh MASTER_HOST:PORT SLAVE_HOST:PORT
#
# Detach it again with: redis-cli -h SLAVE_HOST -p PORT REPLICAOF NO ONE

set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 MASTER_HOST:PORT SLAVE_HOST:PORT" >&2; exit 2; }
master_host="${1%:*}" master_port="${1##*:}"
slave() { redis-cli -e -h "${slave_address%:*}" -p "${slave_address##*:}" "$@"; }
slave_address="$2"
field() { slave INFO | tr -d '\r' | sed -n "s/^$1://p"; }

slave REPLICAOF "$master_host" "$master_port"
echo "attached $slave_address to $1; reads go on from its old data until the new is complete"

for _ in $(seq 600); do
  if [ "$(field master_link_status)" = up ] && [ "$(field master_sync_in_progress)" != 1 ]; then
    echo "in sync by a $(field last_sync_plan) sync: $(field last_sync_reason)"
    echo "$(field last_sync_bytes) bytes in $(field last_sync_seconds) s, applied up to LSN $(field applied_lsn)"
    exit 0
  fi
  sleep 0.1
done
echo "not in sync after a minute; see: paceline status --node $slave_address" >&2
exit 1
