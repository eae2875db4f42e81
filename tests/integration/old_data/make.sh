#!/usr/bin/env bash
# Makes data-0.1.tar.gz: the folder /data of a container of version 0.1 that was killed in the middle of its work. It
# was run once; a test reads the file with the version of today.
# Usage: tests/integration/old_data/make.sh COMMIT     the last commit of that version
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'docker rm --force --volumes tandem-old-data >/dev/null 2>&1; rm -rf "$work"' EXIT

git clone --quiet "$(git -C "$here" rev-parse --show-toplevel)" "$work/clone"
git -C "$work/clone" checkout --quiet "$1"
docker build --quiet --tag tandem-old "$work/clone"
printf 'def load():\n    from app import old_actors\n    return (old_actors.workload,)\n' >"$work/workloads.py"
cp "$here/actors_of_0_1.py" "$work/old_actors.py"
printf 'FROM tandem-old\nCOPY workloads.py old_actors.py /srv/tandem/app/\n' >"$work/Dockerfile"
docker build --quiet --tag tandem-old-actors "$work"

docker run --detach --name tandem-old-data --hostname old --network none --read-only --tmpfs /run --tmpfs /tmp --env WORKERS=1 tandem-old-actors
inside() { docker exec tandem-old-data "$@"; }
until inside queue health >/dev/null 2>&1; do sleep 0.2; done
inside queue store
until inside queue stats --json | grep -q '"failed": 2'; do sleep 0.2; done
inside queue pause work
inside queue store-waiting
# Dead letters are kept for a week, and the second delayed message is due after one: these stay until 2100.
cli() { inside python -c "import redis, sys; print(redis.Redis(unix_socket_path='/run/tandem/redis.sock').execute_command(*sys.argv[1:]))" "$@"; }
for id in $(cli HKEYS dramatiq:work.XQ.msgs | grep -oE "[0-9a-f-]{36}"); do cli ZADD dramatiq:work.XQ XX 4102444800000 "$id"; done
cli ZADD dramatiq:work.delayed XX 4102444800000 "$(cli ZRANGE dramatiq:work.delayed -1 -1 | grep -oE "[0-9a-f-]{36}")"
docker kill tandem-old-data >/dev/null
docker cp tandem-old-data:/data - | gzip -9n >"$here/data-0.1.tar.gz"
