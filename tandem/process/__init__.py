"""The side of supervisord: programs, logs, folders and the container's exit code."""
