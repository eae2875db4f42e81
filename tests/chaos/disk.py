"""A small disk for /data that can be filled, damaged, and used by a second container."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

from docker.models.volumes import VolumeCollection
from testcontainers.core.container import DockerContainer

from tests.integration.tandem import IMAGE, LABEL

DATA = "/data"
SIZE_MB = 512
# The numeric user of the image.
USER = 10001

# Writes a file until at most this many bytes are free (argument 1).
_FILL = """
import contextlib, os, sys
free = lambda: os.statvfs("/data").f_bavail * os.statvfs("/data").f_frsize
with open("/data/filler", "ab") as filler:
    with contextlib.suppress(OSError):  # other processes write as well, so the disk may be full earlier
        while (missing := free() - int(sys.argv[1])) > 0:
            filler.write(bytes(min(missing, 2**20)))
            filler.flush()
"""
# What a power failure can leave after the last complete command: zeros, or the beginning of the next command.
_TAILS = ("bytes(512)", "b'*3\\r\\n$3\\r\\nSET\\r\\n$9\\r\\ncha'")
_DAMAGE = """
import pathlib
folder = pathlib.Path("/data/appendonlydir")
newest = max(folder.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
with newest.open("ab") as file:
    file.write({tail})
"""


class Disk:
    """A volume in memory. A container that only mounts it preserves the data while the others are down."""

    def __init__(self) -> None:
        self.started = False
        self.name = f"tandem-chaos-{uuid4().hex[:12]}"
        self._holder = DockerContainer(IMAGE).with_command(["sleep", "infinity"])
        self._holder.with_volume_mapping(self.name, DATA, mode="rw")
        self._holder.with_kwargs(labels={LABEL: "disk"}, init=True)

    def start(self) -> Disk:
        """Create the volume and mount it."""
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={SIZE_MB}m,uid={USER},gid={USER},mode=0750"}
        self._volumes.create(self.name, driver="local", driver_opts=options, labels={LABEL: "disk"})
        self._holder.start()
        self.started = True
        return self

    def fill(self, *, free: int) -> None:
        """Fill the disk until at most `free` bytes are free."""
        self._python(_FILL, str(free))

    def free_space(self) -> None:
        """Delete what `fill` has written."""
        self._python("import pathlib; pathlib.Path('/data/filler').unlink(missing_ok=True)")

    def damage(self, choice: int) -> None:
        """Append to Redis's newest AOF what a power failure can leave there. No process may be writing to it."""
        self._python(_DAMAGE.format(tail=_TAILS[choice % len(_TAILS)]))

    def remove(self) -> None:
        """Remove it with its data, by force."""
        volume = self._volumes.get(self.name)
        self._holder.stop()
        volume.remove(force=True)

    @property
    def _volumes(self) -> VolumeCollection:
        return self._holder.get_docker_client().client.volumes

    def _python(self, code: str, *arguments: str) -> None:
        answer = self._holder.get_wrapped_container().exec_run(["python", "-S", "-c", code, *arguments])
        if answer.exit_code:
            raise RuntimeError(f"the command on the disk failed: {cast(bytes, answer.output).decode()}")
