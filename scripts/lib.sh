# Shared by the scripts: where things are, headed and timed steps, clear ends. Sourced, not run.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.build/venv"
PYTHON="$VENV/bin/python"
BINARY="$ROOT/.build/release/paceline"
STEPS="" # one line per finished step, for the closing summary

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD="" DIM="" RED="" PLAIN=""
fi

say() { printf '%s\n' "$*"; }
head_line() { printf '\n%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
die() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
  exit 1
}

# step NAME COMMAND...: runs the command under a heading, with its time. Gives the command's exit code.
step() {
  local name="$1" started=$SECONDS code=0
  shift
  head_line "$name"
  "$@" || code=$?
  local result="ok"
  [ "$code" -eq 0 ] || result="FAILED ($code)"
  printf '%s-- %s: %s, %d s%s\n' "$DIM" "$name" "$result" "$((SECONDS - started))" "$PLAIN"
  STEPS+="$(printf '%-28s %-12s %4d s' "$name" "$result" "$((SECONDS - started))")"$'\n'
  return "$code"
}

# Puts the Swift toolchain on PATH.
find_swift() {
  command -v swift > /dev/null && return
  if [ -x /opt/swift/usr/bin/swift ]; then
    export PATH="/opt/swift/usr/bin:$PATH"
  else
    die "no Swift toolchain: put 'swift' (6.1 or newer) on PATH, or under /opt/swift; see https://www.swift.org/install"
  fi
}

# as_root COMMAND...: as it is for root, through sudo for others.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    die "this needs root: $* (run as root, or install sudo)"
  fi
}

build_release() {
  find_swift
  (cd "$ROOT" && swift build -c release --product paceline)
}

# Every Swift file of ours, NUL-separated, without what packages have checked out.
swift_files() {
  find "$ROOT/Package.swift" "$ROOT/Sources" "$ROOT/Tests" "$ROOT/Benchmarks" "$ROOT/Examples" \
    -name .build -prune -o -name '*.swift' -type f -print0
}
