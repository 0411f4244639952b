"""No way of replacing a file goes unseen for 2 s, and nothing that is no file is waited for."""

import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from harness import tokens
from harness.certs import Authority
from harness.gateway import DOMAIN, Gateway, run, wait_for

# Two seconds, and what a loaded machine may add.
UNSEEN = 3

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs the gateway as another user")


def served_serial(gw) -> int:
    with gw.raw(1101) as raw:
        return x509.load_der_x509_certificate(raw.sock.getpeercert(binary_form=True)).serial_number


def certificate_paths(gw) -> tuple[Path, Path]:
    entry = gw.config["tls"]["certificates"][0]
    return Path(entry["certificate"]), Path(entry["key"])


def seen(gw, change):
    """Makes the change of the routes, and waits for the generation that comes of it."""
    before = gw.generation()
    change()
    wait_for(lambda: gw.generation() != before, UNSEEN, "the new routes")


def another_user() -> int:
    return random.randrange(50_000, 60_000)


def become(user: int, threads: int | None = None):
    if threads:
        resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


@pytest.fixture
def open_gateway():
    """A gateway that is not started, in a folder that any user may enter; pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="zlh-edge-"))
    folder.chmod(0o755)
    gateway = Gateway(folder / "gateway", Authority(folder / "ca"), routes=3)
    gateway.directory.chmod(0o777)
    certificate_paths(gateway)[1].chmod(0o644)
    yield gateway
    gateway.close()
    shutil.rmtree(folder)


@contextlib.contextmanager
def taking(program: str, user: int):
    """While `program` holds what that user may have."""
    taker = subprocess.Popen([sys.executable, "-c", program, str(user)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert taker.stdout.readline() == b"taken\n"
        yield
    finally:
        taker.communicate()


# --- ways of replacing a file ---

def written(path: Path, text: str):
    path.write_text(text)


def written_and_left_open(path: Path, text: str):
    file = open(path, "r+")
    file.write(text)
    file.truncate()
    file.flush()
    LEFT_OPEN.append(file)


LEFT_OPEN = []


def renamed(path: Path, text: str):
    part = path.with_name("part")
    part.write_text(text)
    part.rename(path)


def unlinked_and_linked(path: Path, text: str):
    """As certbot does in `live/`."""
    target = path.with_name("archive-2")
    target.write_text(text)
    path.unlink()
    path.symlink_to(target.name)


def hard_linked(path: Path, text: str):
    other = path.with_name("other")
    other.write_text(text)
    path.unlink()
    os.link(other, path)


def linked_from_nowhere(path: Path, text: str):
    """O_TMPFILE and linkat(2): the file is whole when it gets its name."""
    try:
        file = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o644)
    except OSError as error:
        pytest.skip(f"no O_TMPFILE here: {error}")
    os.write(file, text.encode())
    path.unlink()
    here, follow = -100, 0x400
    assert ctypes.CDLL(None).linkat(here, f"/proc/self/fd/{file}".encode(), here, bytes(path), follow) == 0
    os.close(file)


def of_the_same_size_and_time(path: Path, text: str):
    was = path.stat()
    old = path.read_text()
    assert len(text) == len(old)
    path.write_text(text)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def through_another_name(path: Path, text: str):
    """Another hard link of the same file, in a folder that nobody watches."""
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    os.link(path, elsewhere / "name")
    (elsewhere / "name").write_text(text)


def gone_and_back(path: Path, text: str):
    path.unlink()
    time.sleep(0.3)
    path.write_text(text)


WAYS = [written, written_and_left_open, renamed, unlinked_and_linked, hard_linked, linked_from_nowhere,
        of_the_same_size_and_time, through_another_name, gone_and_back]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_way_of_replacing_the_routes_goes_unseen(make_gateway, way):
    gw = make_gateway(routes=5)
    text = gw.routes_file.read_text().replace("generation: g1101", "generation: h1101")
    seen(gw, lambda: way(gw.routes_file, text))
    assert gw.redeem(1101, gw.token(1101, gen="h1101")).status == 303
    # And once more, now that the file is what that way makes of it.
    seen(gw, lambda: way(gw.routes_file, text.replace("h1101", "i1101")) if way is not through_another_name else
         (gw.directory / "elsewhere/name").write_text(text.replace("h1101", "i1101")))


def test_a_certificate_that_certbot_renewed_is_served(make_gateway):
    """`live/` holds links into `archive/`; a renewal unlinks each and makes it anew."""
    gw = make_gateway(start=False, routes=2)
    live, archive = gw.directory / "live", gw.directory / "archive"
    live.mkdir(), archive.mkdir()

    def renew(number: int):
        chain, key, serial = gw.authority.make([f"*.{DOMAIN}"])
        for name, data in (("privkey", key), ("fullchain", chain)):
            (archive / f"{name}{number}.pem").write_bytes(data)
            link = live / f"{name}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../archive/{name}{number}.pem")
        return serial

    first = renew(1)
    gw.write_config(tls={"certificates": [{"certificate": str(live / "fullchain.pem"),
                                           "key": str(live / "privkey.pem")}]})
    gw.start()
    assert served_serial(gw) == first
    refused = gw.metric("zlh_edge_reloads_total", result="refused")
    second = renew(2)
    wait_for(lambda: served_serial(gw) == second, UNSEEN)
    assert gw.metric("zlh_edge_reloads_total", result="refused") == refused, "certificate and key are read together"


def test_a_swapped_mount_behind_a_link_is_seen(make_gateway):
    """routes.yaml -> a file of a Kubernetes mount -> `..data`, which is swapped."""
    gw = make_gateway(start=False, routes=3)
    mount = gw.directory / "mount"
    text = gw.routes_file.read_text()
    for number in (1, 2):
        (mount / f"..{number}").mkdir(parents=True)
        (mount / f"..{number}/routes.yaml").write_text(text.replace("g1101", f"swap{number}"))
    (mount / "..data").symlink_to("..1")
    (mount / "routes.yaml").symlink_to("..data/routes.yaml")
    gw.routes_file.unlink()
    gw.routes_file.symlink_to("mount/routes.yaml")
    gw.start()

    def swap():
        (mount / "..data_tmp").symlink_to("..2")
        os.rename(mount / "..data_tmp", mount / "..data")

    seen(gw, swap)
    assert gw.redeem(1101, gw.token(1101, gen="swap2")).status == 303


def test_a_link_to_a_folder_that_is_exchanged_is_seen(make_gateway):
    gw = make_gateway(start=False, routes=3)
    text = gw.routes_file.read_text()
    for number in (1, 2):
        (gw.directory / f"releases/{number}/etc").mkdir(parents=True)
        (gw.directory / f"releases/{number}/etc/routes.yaml").write_text(text.replace("g1101", f"release{number}"))
    current = gw.directory / "current"
    current.symlink_to("releases/1")
    gw.config["routes"] = "current/etc/routes.yaml"
    gw.write_config()
    gw.start()

    def exchange():
        current.unlink()
        current.symlink_to("releases/2")

    seen(gw, exchange)


def test_a_change_while_the_gateway_starts_is_seen(make_gateway):
    gw = make_gateway(start=False, routes=5)
    gw.start(ready=False)
    for number in range(40):
        gw.routes["ide"][1101]["generation"] = f"early{number}"
        gw.save_routes()
        time.sleep(0.01)
    gw.wait_ready()
    wait_for(lambda: gw.redeem(1101, gw.token(1101, gen="early39")).status == 303, UNSEEN)


@needs_root
def test_a_change_of_rights_that_mends_is_seen(open_gateway):
    gw = open_gateway
    gw.start(preexec=lambda: become(another_user()))
    text = gw.routes_file.read_text().replace("g1101", "secret")
    part = gw.directory / "part"
    part.write_text(text)
    part.chmod(0o600)
    refused = gw.metric("zlh_edge_reloads_total", result="refused")
    part.rename(gw.routes_file)
    wait_for(lambda: gw.metric("zlh_edge_reloads_total", result="refused") > refused, UNSEEN)
    seen(gw, lambda: gw.routes_file.chmod(0o644))
    # The folder's rights hide a file as well.
    gw.directory.chmod(0o700)
    time.sleep(2.5)
    seen(gw, lambda: gw.directory.chmod(0o711))


@needs_root
def test_a_folder_that_may_be_entered_and_not_read_is_watched_all_the_same(open_gateway):
    gw = open_gateway
    closed = gw.directory / "closed"
    closed.mkdir()
    gw.routes_file.rename(closed / "routes.yaml")
    gw.routes_file = closed / "routes.yaml"
    closed.chmod(0o711)
    gw.write_config(routes="closed/routes.yaml")
    gw.start(preexec=lambda: become(another_user()))
    gw.wait_log(lambda entry: entry["level"] == "warning" and "closed" in entry.get("message", ""), 3)
    text = gw.routes_file.read_text().replace("g1101", "other")
    seen(gw, lambda: renamed(gw.routes_file, text))


TAKES_INOTIFY = """
import ctypes, os, sys
user = int(sys.argv[1])
os.setresuid(user, user, user)
libc = ctypes.CDLL(None)
while libc.inotify_init1(0) >= 0: pass
print("taken", flush=True)
sys.stdin.read()
"""


@needs_root
def test_without_inotify_the_gateway_starts_and_sees_changes(open_gateway):
    gw = open_gateway
    user = another_user()
    with taking(TAKES_INOTIFY, user):
        gw.start(preexec=lambda: become(user))
        gw.wait_log(lambda entry: entry["level"] == "warning" and "inotify" in entry.get("message", ""), 3)
        text = gw.routes_file.read_text().replace("g1101", "polled")
        seen(gw, lambda: renamed(gw.routes_file, text))
        seen(gw, lambda: unlinked_and_linked(gw.routes_file, text.replace("polled", "again")))


def test_a_withdrawn_launch_key_opens_no_more_sessions(make_gateway):
    old, new = tokens.SigningKey("EdDSA"), tokens.SigningKey("EdDSA")
    gw = make_gateway(keys=[old, new], routes=2)
    assert gw.redeem(1101, gw.token(1101, key=old)).status == 303
    target = gw.directory / "keys-2.json"
    target.write_text(tokens.jwks(new))
    gw.keys_file.unlink()
    gw.keys_file.symlink_to(target.name)
    wait_for(lambda: gw.redeem(1101, gw.token(1101, key=old)).status == 403, UNSEEN)
    assert gw.redeem(1101, gw.token(1101, key=new)).status == 303


def test_a_file_written_slowly_is_read_when_it_is_whole(make_gateway):
    gw = make_gateway(routes=5)
    refused = gw.metric("zlh_edge_reloads_total", result="refused")
    text = gw.routes_file.read_text().replace("g1101", "slow")
    with open(gw.routes_file, "w") as file:
        for at in range(0, len(text), 30):
            file.write(text[at:at + 30])
            file.flush()
            time.sleep(0.3)
            if at > 200:
                break
        file.write(text[at + 30:])
    wait_for(lambda: gw.redeem(1101, gw.token(1101, gen="slow")).status == 303, UNSEEN)
    assert gw.metric("zlh_edge_reloads_total", result="refused") == refused


def test_a_file_that_is_gone_is_said_and_changes_nothing(make_gateway):
    gw = make_gateway(routes=3)
    since, before = len(gw.log), gw.generation()
    gw.routes_file.unlink()
    gw.wait_log(lambda entry: entry["level"] == "error" and "No such file" in entry.get("message", ""), 4, since)
    assert gw.generation() == before and gw.redeem(1101, gw.token(1101)).status == 303
    time.sleep(1.5)
    assert sum(entry["level"] == "error" for entry in gw.log[since:]) == 1, "it is said once"


# --- what is no file ---

NO_FILES = {"fifo": os.mkfifo, "folder": os.mkdir, "device": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("which", ["routes", "keys", "certificate", "key"])
def test_what_is_no_file_is_refused_and_holds_nothing_up(make_gateway, which, what):
    gw = make_gateway(routes=3)
    path = {"routes": gw.routes_file, "keys": gw.keys_file, "certificate": certificate_paths(gw)[0],
            "key": certificate_paths(gw)[1]}[which]
    since, good = len(gw.log), path.read_bytes()
    refused = gw.metric("zlh_edge_reloads_total", result="refused")
    path.unlink()
    NO_FILES[what](path)
    gw.wait_log(lambda entry: entry["level"] == "error" and path.name in str(entry) and "regular" in str(entry), 4, since)
    assert gw.metric("zlh_edge_reloads_total", result="refused") > refused
    # The next reload is not behind it.
    if which != "routes":
        seen(gw, lambda: renamed(gw.routes_file, gw.routes_file.read_text().replace("g1101", "after")))
    gw.signal(signal.SIGHUP)
    path.rmdir() if what == "folder" else path.unlink()
    path.write_bytes(good)
    assert gw.redeem(1102, gw.token(1102)).status == 303


@pytest.mark.parametrize("which", ["config", "routes", "keys", "certificate", "key"])
@pytest.mark.parametrize("command", ["check", "run"])
def test_commands_refuse_a_fifo_at_once(make_gateway, command, which):
    gw = make_gateway(start=False, routes=3)
    path = {"config": gw.config_file, "routes": gw.routes_file, "keys": gw.keys_file,
            "certificate": certificate_paths(gw)[0], "key": certificate_paths(gw)[1]}[which]
    path.unlink()
    os.mkfifo(path)
    done = run(command, config=gw.config_file, timeout=10)
    assert done.returncode == 78 and "regular" in done.stdout + done.stderr, done


# --- when the system is short ---

TAKES_THREADS = """
import os, sys, threading
user = int(sys.argv[1])
os.setresuid(user, user, user)
for _ in range(60): threading.Thread(target=threading.Event().wait, daemon=True).start()
print("taken", flush=True)
sys.stdin.read()
"""


@needs_root
@pytest.mark.parametrize("how", ["signal", "file"])
def test_a_reload_whose_thread_cannot_start_is_refused_and_tried_again(open_gateway, how):
    gw = open_gateway
    user = another_user()
    gw.start(preexec=lambda: become(user, threads=50))
    upstream = gw.upstream()
    cookie = gw.launch(upstream.vmid)
    before, since = gw.generation(), len(gw.log)
    with taking(TAKES_THREADS, user):
        if how == "signal":
            gw.signal(signal.SIGHUP)
        else:
            gw.routes["ide"][1103]["generation"] = "later"
            gw.save_routes()
        gw.wait_log(lambda entry: entry["event"] == "reload" and "thread" in entry.get("message", ""), 4, since)
        assert gw.running() and gw.request(upstream.vmid, cookie=cookie).status == 200
    wait_for(lambda: gw.generation() != before, 6, "the reload to be tried again")
    assert gw.metric("zlh_edge_reloads_total", result="refused") >= 1


def test_a_reload_without_descriptors_is_tried_again(make_gateway):
    gw = make_gateway(routes=3)
    before, since = gw.generation(), len(gw.log)
    gw.routes["ide"][1103]["generation"] = "later"
    part = gw.directory / "part"
    part.write_text(yaml.safe_dump(gw.routes))
    _, hard = resource.prlimit(gw.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gw.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    part.rename(gw.routes_file)
    gw.wait_log(lambda entry: "Too many open files" in entry.get("message", ""), 4, since)
    resource.prlimit(gw.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    wait_for(lambda: gw.generation() != before, 5, "the reload to be tried again")


def test_a_start_without_threads_says_so(make_gateway):
    gw = make_gateway(start=False, routes=2)
    done = subprocess.run(gw.launch_arguments(), capture_output=True, text=True, timeout=20, cwd=gw.directory,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 40, 1 << 40)))
    assert done.returncode == 78 and "thread" in done.stderr, done


@pytest.mark.parametrize("descriptors", range(6, 24, 2))
def test_a_start_without_descriptors_says_so(make_gateway, descriptors):
    gw = make_gateway(start=False, routes=2)
    done = subprocess.Popen(
        gw.launch_arguments(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=gw.directory,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
    try:
        out, err = done.communicate(timeout=3)
    except subprocess.TimeoutExpired:  # it had enough
        done.kill()
        out, err = done.communicate()
        return
    assert done.returncode in (70, 78) and err.count("\n") >= 1, (done.returncode, out, err)
    assert "Fatal" not in err and "open files" in err, err
