#!/bin/sh
# What tini starts: checks the settings, lays out the programs that this container runs, and becomes supervisord.
# With arguments (docker run IMAGE queue config) it becomes that command instead.
set -eu

[ "$#" -eq 0 ] || exec "$@"

# One line and the end when a setting cannot be used.
assignments=$(queue config --supervisor)
set -a
eval "$assignments"
set +a

# Copies, because the image's own files lie on a read-only root: these can be edited, and
# `supervisorctl reread && supervisorctl update` takes them over.
if ! mkdir -p /run/tandem/programs 2>/dev/null; then
  echo "/run cannot be written to: run as user 10001, and on a read-only root with --tmpfs /run --tmpfs /tmp" >&2
  exit 78
fi
rm -f /run/tandem/programs/*.conf
for program in $START_PROGRAMS; do
  cp "/etc/supervisor/programs/$program.conf" /run/tandem/programs/
done

exec python -m app.operations.supervisord --configuration /etc/supervisor/supervisord.conf
