"""What pages of other sites make a visitor's browser do, with a real Chromium and, where there is one, a real Firefox."""

import json
import os

import pytest

from harness.browser import CHROMIUM, chromium
from harness import firefox as marionette
from harness.gateway import FETCH, free_port, wait_for
from harness.tokens import SigningKey
from harness.upstreams import answer, replies

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
GATEWAY = {"limits": {"exempt": []}}
TEXT = "All work and no play makes Jack a dull boy. " * 100
WORKER = """
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(clients.claim()));
self.addEventListener('fetch', event => event.respondWith(fetch(event.request)));
"""
WORKED = ("navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(() => new Promise("
          "done => { const look = () => navigator.serviceWorker.controller ? done(true) : setTimeout(look, 20); look() }))")


def html(body: str) -> bytes:
    return answer(f"<!doctype html><title>page</title>{body}".encode(), headers=["Content-Type: text/html"])


def container(gw, home: str = ""):
    """Pages for any path; `home` of it may be changed. Its worker fetches everything again."""
    def reply(request):
        if request.target == "/sw.js":
            return answer(WORKER.encode(), headers=["Content-Type: text/javascript"])
        return html(upstream.home if request.target == "/home" else f"<b id=b>{request.target}</b>{TEXT}")

    upstream = gw.upstream(replies(reply))
    upstream.home = home
    return upstream


def url(gw, vmid: int, path: str = "/") -> str:
    return gw.origin(vmid, port=True) + path


def link(gw, vmid: int, path: str = "/home", **how) -> str:
    return url(gw, vmid, f"/.zlh/launch?token={gw.token(vmid, **how)}&next={path}")


@pytest.fixture(scope="module")
def browser():
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    context = browser.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def firefox():
    if not os.path.exists(marionette.FIREFOX):
        pytest.skip("no firefox")
    with marionette.firefox(free_port()) as browser:
        yield browser


def shows(firefox, expression: str):
    """What it comes to; None while one page makes way for another."""
    try:
        return firefox.evaluate(expression)
    except AssertionError:
        return None


def elsewhere(page, body: str):
    """A page of quite another site."""
    page.route("https://evil.example/*", lambda route: route.fulfill(
        content_type="text/html", body=f"<!doctype html><title>evil</title>{body}"))
    page.goto("https://evil.example/")


# --- Chromium ---

def test_images_of_forged_launch_links_block_nobody(gw, page):
    stranger = SigningKey("EdDSA", kid=gw.key.kid)
    elsewhere(page, "".join(f"<img src='{link(gw, 1101, key=stranger)}'>" for _ in range(8)))
    wait_for(lambda: (page.wait_for_timeout(50), len(launches(gw, 1101)) >= 8)[1])
    assert {entry["status"] for entry in launches(gw, 1101)} == {403}
    assert gw.request(1101, headers=FETCH).status == 401, "new connections are still taken"
    assert not gw.refused("penalty")


def launches(gw, vmid: int) -> list[dict]:
    return [entry for entry in gw.log if entry["event"] == "access" and entry.get("vmid") == vmid
            and entry["path"] == "/.zlh/launch"]


def test_a_page_that_speaks_turn_blocks_nobody(gw, page):
    """WebRTC reaches any host and port, over TLS, with bytes that are no HTTP."""
    elsewhere(page, "")
    seen = len(gw.log)
    page.evaluate("""async host => {
        for (let n = 0; n < 8; n++) {
            const peer = new RTCPeerConnection({iceTransportPolicy: 'relay', iceServers: [
                {urls: `turns:${host}?transport=tcp`, username: 'a', credential: 'b'}]});
            peer.createDataChannel('x');
            await peer.setLocalDescription(await peer.createOffer());
            await new Promise(done => setTimeout(done, 150));
            peer.close();
        }}""", gw.host(1101, port=True))
    wait_for(lambda: (page.wait_for_timeout(50), sum(e.get("status") == 400 for e in gw.log[seen:]) >= 6)[1], 10)
    assert gw.request(1101, headers=FETCH).status == 401
    assert not gw.refused("penalty")


def test_a_frame_offers_to_open_a_tab(gw, page):
    up = container(gw)
    elsewhere(page, f"<iframe src='{link(gw, up.vmid, '/inside')}'></iframe>")
    frame = page.frames[1]
    with page.context.expect_page() as opened:
        frame.click("a")
    opened.value.wait_for_url(url(gw, up.vmid, "/inside"))
    assert opened.value.text_content("#b") == "/inside"


def test_a_form_posted_into_a_frame_offers_to_open_a_tab(gw, page):
    up = container(gw)
    elsewhere(page, f"<iframe name=f></iframe><form id=g target=f method=post action='{url(gw, up.vmid, '/.zlh/launch')}'>"
                    f"<input name=token value='{gw.token(up.vmid)}'><input name=next value='/a?\"b&amp;c'></form>"
                    "<script>g.submit()</script>")
    frame = wait_for(lambda: (page.wait_for_timeout(50), page.frame(name="f"))[1])
    with page.context.expect_page() as opened:
        frame.click("button")
    opened.value.wait_for_url(url(gw, up.vmid, "/a?%22b&c"))
    assert [entry["status"] for entry in launches(gw, up.vmid)] == [403, 303]


def test_what_a_siblings_speculation_rules_fetch_is_not_compressed(gw, page):
    victim, sibling = container(gw), container(gw)
    page.goto(link(gw, victim.vmid))
    rules = {"prefetch": [{"source": "list", "urls": [url(gw, victim.vmid, "/guessed")], "eagerness": "immediate"}]}
    sibling.home = f"<script type=speculationrules>{json.dumps(rules)}</script>"
    page.goto(link(gw, sibling.vmid))
    guess = wait_for(lambda: (page.wait_for_timeout(50), next((r for r in victim.requests if r.target == "/guessed"), None))[1])
    assert guess.get("sec-purpose") and guess.get("sec-fetch-site") == "none" and guess.get("accept-encoding")
    entry = wait_for(lambda: next((e for e in gw.log if e.get("path") == "/guessed"), None))
    assert entry["status"] == 200 and entry["bytes_out"] > len(TEXT), entry


def test_a_siblings_form_through_the_own_worker(gw, page):
    victim, sibling = container(gw), container(gw)
    page.goto(link(gw, victim.vmid))
    page.evaluate(WORKED)
    page.goto(link(gw, sibling.vmid))
    for policy in ("no-referrer", "unsafe-url"):
        sibling.home = form(url(gw, victim.vmid, "/posted"), policy)
        page.goto(url(gw, sibling.vmid, "/home"))
        page.wait_for_url(url(gw, victim.vmid, "/posted"))
        assert "another site" in page.inner_text("body")
    assert all(request.method == "GET" for request in victim.requests)


def form(action: str, policy: str) -> str:
    return (f"<meta name=referrer content={policy}><form id=f method=post action='{action}'><input name=a value=b></form>"
            "<script>f.submit()</script>")


def test_a_page_after_logout_can_be_read(gw, page):
    up = container(gw)
    page.goto(link(gw, up.vmid))
    page.evaluate(WORKED)
    assert page.evaluate("fetch('/.zlh/logout', {method: 'POST'}).then(r => r.status)") == 204
    page.reload()
    assert page.title() == "Please sign in" and page.evaluate("document.contentType") == "text/html"


def arrived(firefox, address: str):
    wait_for(lambda: shows(firefox, "[location.href, document.readyState].join()") == f"{address},complete", 10)


# --- Firefox, whose workers fetch navigations again as the site's own ---

def test_firefox_a_siblings_form_through_the_own_worker(gw, firefox):
    victim, sibling = container(gw), container(gw)
    firefox.goto(link(gw, sibling.vmid))
    firefox.goto(link(gw, victim.vmid))
    assert firefox.evaluate(WORKED)
    for policy in ("strict-origin-when-cross-origin", "no-referrer", "same-origin"):
        sibling.home = form(url(gw, victim.vmid, "/posted"), policy)
        firefox.goto(url(gw, sibling.vmid, "/home"))
        wait_for(lambda: shows(firefox, "location.href") == url(gw, victim.vmid, "/posted"), 10)
        wait_for(lambda: "another site" in (shows(firefox, "document.body.innerText") or ""), 10)
    assert all(request.method == "GET" for request in victim.requests)
    firefox.goto(url(gw, victim.vmid, "/home"))
    firefox.evaluate("void document.body.insertAdjacentHTML('beforeend', '<form id=f method=post action=/mine></form>')")
    firefox.evaluate("void document.getElementById('f').submit()")
    # Until it is there: a page that still loads would take the next test's page away.
    arrived(firefox, url(gw, victim.vmid, "/mine"))
    assert [request.target for request in victim.requests if request.method == "POST"] == ["/mine"]


def test_firefox_after_logout_and_back_through_the_worker(gw, firefox):
    up = container(gw)
    firefox.goto(link(gw, up.vmid))
    assert firefox.evaluate(WORKED)
    assert firefox.evaluate("fetch('/.zlh/logout', {method: 'POST'}).then(r => r.status)") == 204
    firefox.goto(url(gw, up.vmid, "/home"))
    assert firefox.evaluate("document.title") == "Please sign in" and firefox.evaluate("document.contentType") == "text/html"
    portal = container(gw, f"<a id=a href='{link(gw, up.vmid, '/again')}'>open</a>")
    firefox.goto(link(gw, portal.vmid))
    firefox.evaluate("void document.getElementById('a').click()")
    arrived(firefox, url(gw, up.vmid, "/again"))
