#!/bin/sh
# Started by tini: checks the settings, copies the configuration of this container's programs, and becomes supervisord.
# With arguments (docker run IMAGE queue config) it becomes that command instead.
set -eu

[ "$#" -eq 0 ] || exec "$@"

# Copies, because the image's own files are on a read-only root: the copies can be edited, and
# `supervisorctl reread && supervisorctl update` applies them. Those of the application come beside them.
mkdir -p /run/tandem/programs
rm -f /run/tandem/programs/*.conf
# Heartbeats from before a restart of the container: their times are invalid if the machine has rebooted.
rm -rf /run/tandem/workers

# Exits with one line if a setting or a folder is invalid. A process that runs in parallel with supervisord's start checks
# the workloads; supervisord waits for it before it starts a program.
assignments=$(queue config --supervisor --check-beside)
set -a
eval "$assignments"
set +a

for program in $START_PROGRAMS; do
  cp "/etc/supervisor/programs/$program.conf" /run/tandem/programs/
done

exec python -m tandem.process.supervisord --configuration /etc/supervisor/supervisord.conf
