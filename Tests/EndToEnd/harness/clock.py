"""A wall clock of the gateway's own, which a test may set; `clock_step.c` stands between."""

import contextlib
import struct
import subprocess
import time
from pathlib import Path


class WallClock:
    def __init__(self, directory: Path):
        library, self.file = directory / "clock_step.so", directory / "clock"
        source = Path(__file__).with_name("clock_step.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, source],
                       check=True)
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "ZLH_CLOCK": str(self.file)}

    def set(self, ahead: int):
        """The gateway's clock is so many seconds ahead of ours from now on."""
        # In place: the gateway has the file mapped.
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", ahead))

    @contextlib.contextmanager
    def ahead(self, seconds: int, lasting: float = 1.3):
        """Ahead for the time of the block, and at least for as long as two sweeps take."""
        begin = time.monotonic()
        self.set(seconds)
        try:
            yield
            time.sleep(max(0, lasting - (time.monotonic() - begin)))
        finally:
            self.set(0)
        time.sleep(0.1)
