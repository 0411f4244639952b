"""Debian's Chromium, headless, driven by Playwright."""

import os
import re
import shutil
from contextlib import contextmanager

CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")


def launched(browser_type, http2: bool = True, **options):
    """Chromium as people have it, or one that speaks HTTP/1.1 only."""
    return browser_type.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * 127.0.0.1",
              "--ignore-certificate-errors",
              # A page that a test makes up counts as one of the internet, which may not load from loopback.
              "--disable-features=LocalNetworkAccessChecks", *([] if http2 else ["--disable-http2"])], **options)


@contextmanager
def chromium(http2: bool = True, **options):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launched(playwright.chromium, http2, **options)
        try:
            yield browser
        finally:
            browser.close()


class Protocols:
    """What each answer of a page came over, by its address, as Chromium itself says (CDP, `Response.protocol`)."""

    def __init__(self, page):
        self.by_url: dict[str, str] = {}
        self.session = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        self.session.on("Network.responseReceived", self._note)

    def _note(self, event):
        answer = event["response"]
        if answer["url"].startswith("https://") and not answer.get("fromDiskCache") \
                and not answer.get("fromServiceWorker"):
            self.by_url[answer["url"]] = answer.get("protocol", "")

    def of(self, part: str) -> set[str]:
        return {protocol for url, protocol in self.by_url.items() if part in url}


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
