#!/usr/bin/env bash
# The workers' logs as one stream, prefixed by worker. Works from any folder, and inside the container as well.
# Usage: worker-logs.sh [-c CONTAINER] [-f] [-n LINES] [-e] [--since TIME] [NUMBER]...
#   NUMBER       only these workers, such as 0 for worker_00
#   -f           follow, across rotations
#   -n LINES     how many of the newest lines (50)
#   -e           warnings and errors only
#   --since TIME 10m, 2h, 1d or 2026-11-22T05:30:00
#   -c CONTAINER a container's name, if compose does not know it
set -euo pipefail

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

container=
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    -c | --container)
      [ $# -gt 1 ] || fail "$1 needs the name of a container"
      container=$2
      shift 2
      ;;
    *)
      arguments+=("$1")
      shift
      ;;
  esac
done

if [ -x /opt/venv/bin/queue ] && [ -d /run/tandem ]; then
  exec queue logs ${arguments[@]+"${arguments[@]}"}
fi

timeout 10 docker info >/dev/null 2>&1 || fail "no Docker engine answers, so no container is running"
if [ -z "$container" ]; then
  # The script's own folder, also when it is called through a link.
  here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
  container=$(docker compose --project-directory "$here" ps --quiet app 2>/dev/null | head -n 1)
  [ -n "$container" ] || fail "no container of compose's service app is running: start it with bin/up, or name one with -c"
fi
[ "$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null)" = "true" ] ||
  fail "the container $container is not running: docker ps lists the running ones"

# With a terminal, so that Ctrl-C reaches the other side.
terminal=()
[ -t 0 ] && [ -t 1 ] && terminal=(--interactive --tty)
exec docker exec ${terminal[@]+"${terminal[@]}"} "$container" queue logs ${arguments[@]+"${arguments[@]}"}
