"""Debian's Chromium, headless, driven by Playwright."""

import os
import re
import shutil
from contextlib import contextmanager

CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")


@contextmanager
def chromium(**options):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * 127.0.0.1",
                  "--ignore-certificate-errors"], **options)
        try:
            yield browser
        finally:
            browser.close()


class Console:
    """What a page complains of, but for what is harmless."""

    def __init__(self, page, benign: str = r"(?!)"):
        self.benign, self.messages, self.failures = re.compile(benign), [], []
        page.on("console", lambda message: self._note(message))
        page.on("pageerror", lambda error: self.messages.append(f"page error: {error}"))
        page.on("requestfailed", lambda request: self.failures.append((request.url, request.failure)))

    def _note(self, message):
        if message.type == "error":
            self.messages.append(f"{message.text} ({message.location.get('url')})")

    @property
    def errors(self) -> list[str]:
        return [text for text in self.messages if not self.benign.search(text)]
