"""Debian's Firefox, headless, driven by Marionette, the protocol under geckodriver."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress

FIREFOX = os.environ.get("FIREFOX", shutil.which("firefox-esr") or "/usr/bin/firefox-esr")


class Firefox:
    """One window of a fresh profile that takes any certificate."""

    def __init__(self, profile: str, port: int, http2: bool):
        settings = {"marionette.port": port, "network.http.http2.enabled": http2,
                    "datareporting.policy.dataSubmissionEnabled": False, "app.update.disabledForTesting": True}
        with open(os.path.join(profile, "user.js"), "w") as file:
            file.writelines(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in settings.items())
        self.process = subprocess.Popen(
            [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": profile})
        self.number = 0
        deadline = time.monotonic() + 60
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "Firefox does not start"
                time.sleep(0.1)
        self.stream = self.socket.makefile("rb")
        self._read()
        self._call("WebDriver:NewSession", {"acceptInsecureCerts": True})

    def _read(self):
        length = b""
        while (byte := self.stream.read(1)) != b":":
            assert byte, "Firefox is gone"
            length += byte
        return json.loads(self.stream.read(int(length)))

    def _call(self, name: str, parameters: dict):
        self.number += 1
        message = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        assert not error, error
        return result

    def goto(self, url: str):
        self._call("WebDriver:Navigate", {"url": url})

    def evaluate(self, expression: str):
        return self._call("WebDriver:ExecuteScript", {"script": f"return {expression}", "args": []})["value"]

    def close(self):
        with suppress(AssertionError, OSError):
            self._call("Marionette:Quit", {"flags": ["eForceQuit"]})
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        self.stream.close()
        self.socket.close()


@contextmanager
def firefox(port: int, http2: bool = True):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Firefox(profile, port, http2)
        try:
            yield browser
        finally:
            browser.close()
