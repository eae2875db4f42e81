#!/bin/sh
# What tini starts: checks the settings, lays out the programs that this container runs, and becomes supervisord.
# With arguments (docker run IMAGE queue config) it becomes that command instead.
set -eu

[ "$#" -eq 0 ] || exec "$@"

# One line and the end when a setting cannot be used.
assignments=$(queue config --supervisor)
eval "$assignments"
export WORKERS WORKER_STOP_SECONDS

# Copies, because the image's own files lie on a read-only root: these can be edited, and
# `supervisorctl reread && supervisorctl update` takes them over.
mkdir -p /run/tandem/programs
rm -f /run/tandem/programs/*.conf
for program in $START_PROGRAMS; do
  cp "/etc/supervisor/programs/$program.conf" /run/tandem/programs/
done

exec python -m app.operations.supervisord --configuration /etc/supervisor/supervisord.conf
