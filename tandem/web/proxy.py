"""The program `proxy`: becomes nginx (`python -m tandem.web.proxy`), with the configuration written at the start.

It imports only the standard library: it starts while web and workers need every core.
"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

NGINX = "/usr/sbin/nginx"
CONFIGURATION = Path("/run/tandem/nginx.conf")


def _end_orphans() -> None:
    """Ask the workers of a killed nginx to finish: they would keep the port."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if comm.read_text().strip() == "nginx":
                os.kill(int(comm.parent.name), signal.SIGQUIT)


def _allow_files(files: int) -> None:
    """Raise the soft limit of open files, which is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (files if hard == resource.RLIM_INFINITY else min(files, hard), hard)
        )


def main() -> None:
    """Become nginx. PROXY_FILES, which the entrypoint exports: how many files it may have open."""
    _allow_files(int(os.environ["PROXY_FILES"]))
    _end_orphans()
    os.execv(NGINX, ["nginx", "-e", "stderr", "-c", str(CONFIGURATION)])  # noqa: S606


if __name__ == "__main__":
    main()
