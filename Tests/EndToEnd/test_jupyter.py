"""A real program of the kind people run in these containers: JupyterLab, whole, behind the gateway."""

import base64
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import uuid

import httpx
import pytest

from harness.browser import CHROMIUM, Console, Protocols, chromium
from harness.gateway import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
GATEWAY = {"limits": {"upstream": {"response": "60s"}}}

# Without a gateway in between JupyterLab's console is silent, so it must be silent here.
BENIGN = r"favicon"


@pytest.fixture(scope="module")
def lab(gw, tmp_path_factory):
    """JupyterLab on a container's address, with a folder of its own."""
    vmid = gw.claim_vmid()
    address = gw.routes["ide"][vmid]["address"]
    root = tmp_path_factory.mktemp("jupyter")
    home = tmp_path_factory.mktemp("home")
    log = open(root.parent / "jupyter.log", "wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.ip={address}", "--ServerApp.port=6000",
         "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root",
         "--ServerApp.allow_remote_access=True", "--ServerApp.disable_check_xsrf=True", "--ServerApp.root_dir",
         str(root), "--LabApp.news_url=", "--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=1e9",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        env={**os.environ, "HOME": str(home), "JUPYTER_PLATFORM_DIRS": "1", "SHELL": "/bin/sh"}, stdout=log,
        stderr=subprocess.STDOUT, cwd=root)

    def up():
        assert process.poll() is None, (root.parent / "jupyter.log").read_text()[-3000:]
        try:
            socket.create_connection((address, 6000), timeout=1).close()
            return True
        except OSError:
            return False

    wait_for(up, 60, "JupyterLab to listen", every=0.2)
    yield vmid, root, address
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    log.close()


@pytest.fixture(scope="module")
def client(gw, lab):
    """An HTTP client that has a session at the gateway."""
    vmid = lab[0]
    context = ssl.create_default_context(cafile=str(gw.authority.file))
    host = gw.host(vmid)

    class Transport(httpx.HTTPTransport):
        def handle_request(self, request):
            request.url = request.url.copy_with(host="127.0.0.1", port=gw.port)
            request.headers["host"] = f"{host}:{gw.port}"
            request.extensions["sni_hostname"] = host
            return super().handle_request(request)

    with httpx.Client(transport=Transport(verify=context), base_url=f"https://{host}:{gw.port}", timeout=60,
                      headers={"Cookie": f"__Host-zlh_s={gw.launch(vmid)}"}) as client:
        yield client


def test_the_api_answers(client):
    status = client.get("/api/status")
    assert status.status_code == 200 and "kernels" in status.json()
    assert client.get("/lab").status_code == 200


@pytest.mark.timeout(150)
def test_200_mb_go_up_in_chunks_and_come_down_identical(client, lab):
    piece = os.urandom(8 << 20)
    digest = hashlib.sha256()
    for n in range(1, 26):
        digest.update(piece)
        done = client.put("/api/contents/big.bin", json={
            "type": "file", "format": "base64", "chunk": n if n < 25 else -1, "path": "big.bin", "name": "big.bin",
            "content": base64.b64encode(piece).decode()})
        assert done.status_code in (200, 201), done.text
    assert (lab[1] / "big.bin").stat().st_size == 25 * (8 << 20)
    back = hashlib.sha256()
    with client.stream("GET", "/files/big.bin") as answer:
        assert answer.status_code == 200
        for block in answer.iter_bytes():
            back.update(block)
    assert back.digest() == digest.digest()


def dial(gw, vmid: int, path: str):
    from websockets.sync.client import connect

    host = gw.host(vmid, port=True)
    return connect(f"wss://{host}{path}", sock=socket.create_connection((gw.address, gw.port)), ssl=gw.context,
                   server_hostname=gw.host(vmid), origin=f"https://{host}", max_size=None,
                   additional_headers={"Cookie": f"__Host-zlh_s={gw.launch(vmid)}"})


def test_a_terminal_answers(gw, client, lab):
    name = client.post("/api/terminals").json()["name"]
    with dial(gw, lab[0], f"/terminals/websocket/{name}") as ws:
        ws.send(json.dumps(["stdin", "echo $((40+2))-answer\r"]))
        text, deadline = "", time.monotonic() + 20
        while "42-answer" not in text and time.monotonic() < deadline:
            message = json.loads(ws.recv(timeout=20))
            text += message[1] if message[0] == "stdout" else ""
        assert "42-answer" in text
    assert client.delete(f"/api/terminals/{name}").status_code == 204


def test_a_kernel_computes(gw, client, lab):
    kernel = client.post("/api/kernels", json={"name": "python3"}).json()["id"]
    with dial(gw, lab[0], f"/api/kernels/{kernel}/channels") as ws:
        message_id = uuid.uuid4().hex
        ws.send(json.dumps({
            "channel": "shell", "parent_header": {}, "metadata": {}, "buffers": [],
            "header": {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "s",
                       "version": "5.3", "date": ""},
            "content": {"code": "print('x' * 3_000_000)", "silent": False, "store_history": False,
                        "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}}))
        printed, deadline = 0, time.monotonic() + 60
        while printed < 3_000_000 and time.monotonic() < deadline:
            message = json.loads(ws.recv(timeout=60))
            if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == message_id:
                printed += message["content"]["text"].count("x")
        assert printed == 3_000_000
    client.delete(f"/api/kernels/{kernel}")


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_lab_in_a_browser(gw, lab, tmp_path, protocol):
    """Launch URL to a loaded workbench, a terminal that answers a typed command, no errors on the console. Everything
    of it, WebSockets too (RFC 8441), over the one protocol."""
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium")
    vmid, root, _ = lab
    since, made = len(gw.log), root / "from-browser.txt"
    made.unlink(missing_ok=True)
    with chromium(http2=protocol == "h2") as browser:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1200, "height": 800})
        page = context.new_page()
        console, protocols = Console(page, BENIGN), Protocols(page)
        sockets = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        workspace = f"/lab/workspaces/auto-t{protocol[-1]}%3Freset"
        page.goto(gw.origin(vmid, port=True) + f"/.zlh/launch?token={gw.token(vmid)}&next={workspace}")
        page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
        page.wait_for_selector(".jp-LauncherCard[data-category='Other']", timeout=30_000)
        page.click(".jp-LauncherCard[data-category='Other'] >> text=Terminal")
        page.wait_for_selector(".jp-Terminal .xterm-screen", timeout=30_000)
        wait_for(lambda: (page.wait_for_timeout(100), any("/terminals/websocket/" in s for s in sockets))[1], 20)
        page.wait_for_timeout(1500)
        page.click(".jp-Terminal .xterm-screen")
        page.keyboard.type("echo made-here > from-browser.txt")
        page.keyboard.press("Enter")
        wait_for(lambda: (page.wait_for_timeout(100), made.exists())[1], 20)
        page.wait_for_timeout(200)
        assert made.read_text() == "made-here\n"
        page.screenshot(path=tmp_path / "lab.png")
        assert not console.errors, console.errors
        mine = [failed for failed in console.failures if gw.host(vmid) in failed[0] and "ABORTED" not in failed[1]]
        assert not mine, mine
        assert protocols.of("/lab") == protocols.of(".js") == {protocol}, protocols.by_url
        assert len([url for url in protocols.by_url if ".js" in url]) > 3
        terminal = [entry for entry in gw.log[since:] if entry["event"] == "tunnel_open"
                    and entry["path"].startswith("/terminals/websocket/")]
        assert terminal and {entry.get("protocol") for entry in terminal} == {protocol}, terminal
        requests = [entry for entry in gw.log[since:] if entry["event"] == "access"]
        assert {entry["protocol"] for entry in requests} == {protocol}
        context.close()


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_a_notebooks_kernel_in_a_browser(gw, lab, protocol):
    """A new notebook, a cell that is run, and its result on the page: the kernel's WebSocket over either protocol."""
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium")
    vmid, _, _ = lab
    since = len(gw.log)
    with chromium(http2=protocol == "h2") as browser:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1200, "height": 800})
        page = context.new_page()
        protocols = Protocols(page)
        workspace = f"/lab/workspaces/auto-n{protocol[-1]}%3Freset"
        page.goto(gw.origin(vmid, port=True) + f"/.zlh/launch?token={gw.token(vmid)}&next={workspace}")
        page.wait_for_selector(".jp-LauncherCard[data-category='Notebook']", timeout=60_000)
        page.click(".jp-LauncherCard[data-category='Notebook']")
        page.wait_for_selector(".jp-Notebook .cm-content", timeout=30_000)
        page.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=60_000)  # a cell run earlier is lost
        page.click(".jp-Notebook .cm-content")
        page.keyboard.type("print(6 * 7, 'from the kernel')")
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".jp-OutputArea-output >> text=42 from the kernel", timeout=60_000)
        assert protocols.of("/lab") == {protocol}
        opens = [entry for entry in gw.log[since:] if entry["event"] == "tunnel_open" and "/channels" in entry["path"]]
        assert opens and {entry.get("protocol") for entry in opens} == {protocol}, opens
        assert {entry["method"] for entry in opens} == {"GET"}
        context.close()
