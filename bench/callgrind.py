"""Counts with valgrind's callgrind what a peer does for a number of requests, leaving out what comes before and after."""

import contextlib
import pathlib
import re
import subprocess
import tempfile
import time

import side_by_side as bench


def wrap(name: str, folder: pathlib.Path, command: list[str]) -> list[str]:
    if name == "backend":
        return command
    return ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/callgrind.{name}",
            *command]


@contextlib.contextmanager
def running(options, **arguments):
    """The peers of `bench.running`, each under callgrind and counting nothing yet."""
    with tempfile.TemporaryDirectory(prefix="zlh-bench-") as folder:
        # Valgrind does not read Swift's debug information; symbols are enough.
        stripped = f"{folder}/zlh-edge"
        if "zlh-edge" in options.peers:
            subprocess.run(["objcopy", "--strip-debug", options.binary, stripped], check=True)
        options.binary = stripped
        # Starting takes several times as long in there.
        bench.Peer.wrap, bench.Peer.patience = staticmethod(wrap), 60
        with bench.running(options, "valgrind", **arguments) as peers:
            yield peers


def count(peer: bench.Peer, work) -> tuple["Profile", int]:
    """What the peer does while `work()` runs, and how many units that says it did."""
    control(peer, "-i", "on")
    done = work()
    control(peer, "-i", "off")
    control(peer, "-d")
    time.sleep(0.5)
    files = list(peer.folder.glob(f"callgrind.{peer.name}*"))
    profile = Profile(max(files, key=lambda file: file.stat().st_mtime_ns))
    return profile, done


def control(peer: bench.Peer, *arguments: str) -> None:
    subprocess.run(["callgrind_control", *arguments, str(peer.process.pid)], check=True, capture_output=True)


class Profile:
    """One profile: instructions in all, and how often which function called which.

    The format is that of the Callgrind Format Specification: `ob=` and `fn=` say where the costs that follow belong,
    `cob=`, `cfn=` and `calls=` describe one call from there; a name is written once and later given by its number.
    """

    def __init__(self, file: pathlib.Path):
        self.file = file
        self.instructions = 0
        # (caller's object, caller, callee): calls
        self.calls: dict[tuple[str, str, str], int] = {}
        names: dict[tuple[str, str], str] = {}
        caller_object = caller = callee = ""
        with open(file, errors="replace") as lines:
            for line in lines:
                found = re.match(r"(c?(?:ob|fn))=\((\d+)\)(?: (.*))?", line)
                if found:
                    key = found[1][-2:], found[2]
                    if found[3] is not None:
                        # A function that calls itself is told apart by a tick and the depth.
                        names[key] = re.sub(r"'\d+$", "", found[3])
                    name = names[key]
                    if found[1] == "ob":
                        caller_object = pathlib.Path(name).name
                    elif found[1] == "fn":
                        caller = name
                    elif found[1] == "cfn":
                        callee = name
                elif line.startswith("calls="):
                    edge = caller_object, caller, callee
                    self.calls[edge] = self.calls.get(edge, 0) + int(line[6:].split()[0])
                elif found := re.match(r"(?:totals|summary): (\d+)", line):
                    self.instructions = max(self.instructions, int(found[1]))
