"""The odd cases of the cross-site rule and of cookies, against a real Chromium; and how our close frames end, against Firefox
too."""

import os
import threading

import pytest

from harness.browser import CHROMIUM, Protocols, chromium, launched
from harness.firefox import FIREFOX, firefox
from harness.upstreams import Request, answer, echoes_bytes, pages, switching
from harness.gateway import free_port, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
GATEWAY = {}


def html(body: str, headers: list[str] | None = None) -> bytes:
    return answer(f"<!doctype html><title>page</title>{body}".encode(), headers=[
        "Content-Type: text/html; charset=utf-8", *(headers or [])])


def javascript(code: str) -> bytes:
    return answer(code.encode(), headers=["Content-Type: text/javascript", "Service-Worker-Allowed: /"])


@pytest.fixture(scope="module")
def browser():
    """Chromium with HTTP/2, as people have it; some tests run with one that has HTTP/1.1 only as well."""
    if not os.path.exists(CHROMIUM):
        pytest.skip("no chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser, request):
    if request.node.get_closest_marker("http1_too") and request.getfixturevalue("spoken") == "http/1.1":
        old = launched(browser.browser_type, http2=False)
        yield old.new_context(ignore_https_errors=True)
        old.close()
        return
    context = browser.new_context(ignore_https_errors=True)
    yield context
    context.close()


@pytest.fixture(params=["h2", "http/1.1"])
def spoken(request) -> str:
    return request.param


def url(gw, vmid: int, path: str = "/") -> str:
    """The address a browser uses here: with a port that is not 443."""
    return gw.origin(vmid, port=True) + path


def enter(gw, page, vmid: int, path: str = "/", **claims):
    page.goto(url(gw, vmid, f"/.zlh/launch?token={gw.token(vmid, **claims)}&next={path}"))


def site(gw, table: dict, vmid: int | None = None):
    return gw.upstream(pages(table), vmid)


@pytest.mark.http1_too
def test_launch_opens_the_page_and_keeps_the_session(gw, spoken, context):
    up = site(gw, {"/work": html("hello <b id=b>there</b>")})
    page = context.new_page()
    enter(gw, page, up.vmid, "/work")
    assert page.url == url(gw, up.vmid, "/work")
    assert page.text_content("#b") == "there"
    (cookie,) = [c for c in context.cookies() if c["name"] == "__Host-zlh_s"]
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert cookie["domain"] == gw.host(up.vmid)
    page.reload()
    assert page.text_content("#b") == "there"
    assert "__Host-zlh" not in page.evaluate("document.cookie")
    assert page.evaluate("fetch('/.zlh/session').then(r => r.json())")["user"] == "alice"


def test_todays_root_token_url(gw, context):
    up = site(gw, {"/": html("<p id=q></p><script>q.textContent=location.search</script>")})
    page = context.new_page()
    page.goto(url(gw, up.vmid, f"/?folder=/home/me&token={gw.token(up.vmid)}"))
    assert page.url == url(gw, up.vmid, "/?folder=/home/me")


def test_no_session_shows_a_page_that_a_person_can_read(gw, context):
    page = context.new_page()
    response = page.goto(url(gw, 1101))
    assert response.status == 401
    assert page.title() and len(page.inner_text("body")) > 20
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "fits a phone"


def test_launch_posted_from_another_site(gw, context):
    up = site(gw, {"/work": html("<b id=b>in</b>")})
    page = context.new_page()
    form = (f"<form id=f method=post action='{url(gw, up.vmid, '/.zlh/launch')}'>"
            f"<input name=token value='{gw.token(up.vmid)}'><input name=next value='/work'></form>"
            "<script>f.submit()</script>")
    page.route("https://portal.example/*", lambda route: route.fulfill(content_type="text/html", body=form))
    page.goto("https://portal.example/")
    page.wait_for_url(url(gw, up.vmid, "/work"))
    assert page.text_content("#b") == "in"


def test_a_link_from_another_site_keeps_the_session(gw, context):
    up = site(gw, {"/": html("home"), "/deep": html("<b id=b>deep</b>")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.route("https://mail.example/*", lambda route: route.fulfill(
        content_type="text/html", body=f"<a id=a href='{url(gw, up.vmid, '/deep')}'>open</a>"))
    page.goto("https://mail.example/")
    page.click("#a")
    page.wait_for_url(url(gw, up.vmid, "/deep"))
    assert page.text_content("#b") == "deep"


@pytest.mark.http1_too
def test_neighbours_cannot_reach_in(gw, spoken, context):
    """Another container is same-site, so Lax cookies travel: images, fetches, frames, forms and sockets must fail."""
    victim = site(gw, {"/": html("home"), "/x": answer(b"secret"), "/frame": html("framed")})
    evil = site(gw, {"/": html("evil")})
    page = context.new_page()
    enter(gw, page, victim.vmid)
    enter(gw, page, evil.vmid)
    page.wait_for_timeout(300)  # for its icon, which browsers ask for when it suits them
    before = len(victim.requests)
    target = url(gw, victim.vmid, "/x")
    result = page.evaluate("""async target => {
        const out = {};
        out.nocors = await fetch(target, {mode: 'no-cors', credentials: 'include'}).then(r => r.type, () => 'failed');
        out.cors = await fetch(target, {credentials: 'include'}).then(r => r.text(), () => 'failed');
        out.post = await fetch(target, {method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x'})
            .then(() => 'sent', () => 'failed');
        out.image = await new Promise(done => { const i = new Image(); i.onload = () => done('loaded');
            i.onerror = () => done('failed'); i.src = target; });
        out.script = await new Promise(done => { const s = document.createElement('script');
            s.onload = () => done('loaded'); s.onerror = () => done('failed'); s.src = target;
            document.head.append(s); });
        out.socket = await new Promise(done => { const w = new WebSocket(target.replace('https', 'wss'));
            w.onopen = () => done('open'); w.onerror = () => done('failed'); });
        return out;
    }""", target)
    assert result["cors"] == "failed" and result["image"] == "failed" and result["socket"] == "failed"
    page.evaluate("target => { const f = document.createElement('iframe'); f.src = target; document.body.append(f); }",
                  url(gw, victim.vmid, "/frame"))
    page.wait_for_timeout(500)
    page.evaluate("""target => { const f = document.createElement('form'); f.method = 'post'; f.action = target;
        document.body.append(f); f.submit(); }""", target)
    page.wait_for_load_state()
    page.wait_for_timeout(300)
    # The form's 403 is a page of the victim's origin, so its icon is asked for from there.
    reached = [r.head for r in victim.requests[before:] if r.target != "/favicon.ico"]
    assert not reached


def test_a_neighbour_may_not_frame_even_with_a_navigation(gw, context):
    victim = site(gw, {"/": html("home")})
    evil = site(gw, {"/": html("evil")})
    page = context.new_page()
    enter(gw, page, victim.vmid)
    enter(gw, page, evil.vmid)
    page.evaluate("target => { const f = document.createElement('iframe'); f.src = target; document.body.append(f); }",
                  url(gw, victim.vmid))
    page.wait_for_timeout(800)
    frame = page.frames[-1]
    assert "home" not in frame.evaluate("document.body ? document.body.innerText : ''")


def test_a_container_cannot_set_our_cookie_or_a_neighbours(gw, context):
    one = site(gw, {"/": html("one", [
        "Set-Cookie: tossed=1; Domain=zlh.localhost; Path=/; Secure", "Set-Cookie: __Host-zlh_s=forged; Secure; Path=/",
        "Set-Cookie: own=1; Path=/"])})
    two = site(gw, {"/": html("two")})
    page = context.new_page()
    enter(gw, page, one.vmid)
    page.goto(url(gw, one.vmid))
    assert page.evaluate("fetch('/.zlh/session').then(r => r.status)") == 200
    enter(gw, page, two.vmid)
    two.wait_requests(1)
    assert not two.last.all("cookie")
    page.goto(url(gw, one.vmid))
    assert sorted(one.last.get("cookie").split("; ")) == ["own=1", "tossed=1"]


def test_a_form_on_a_page_with_no_referrer(gw, context):
    """Such a page's own POST carries `Origin: null`; Sec-Fetch-Site says it is its own."""
    up = site(gw, {"/": html("<form id=f method=post action=/done><input name=a value=b></form>",
                             ["Referrer-Policy: no-referrer"]), "/done": html("<b id=b>done</b>")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.evaluate("f.submit()")
    page.wait_for_url(url(gw, up.vmid, "/done"))
    assert page.text_content("#b") == "done"
    assert up.last.get("origin") == "null" and up.last.body == b"a=b"


WORKER = """
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(clients.claim()));
self.addEventListener('fetch', event => event.respondWith(fetch(event.request)));
"""


def test_a_service_worker_that_fetches_navigations_again(gw, context):
    """code-server's worker does this: the navigation arrives with `Sec-Fetch-Dest: empty`, also from another site."""
    up = site(gw, {"/": html("<script>navigator.serviceWorker.register('/sw.js')</script>"), "/sw.js": javascript(WORKER),
                   "/deep": html("<b id=b>deep</b>"), "/post": html("<b id=b>posted</b>")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    page.goto(url(gw, up.vmid, "/deep"))
    assert page.text_content("#b") == "deep"
    page.route("https://mail.example/*", lambda route: route.fulfill(
        content_type="text/html", body=f"<a id=a href='{url(gw, up.vmid, '/deep')}'>open</a>"))
    page.goto("https://mail.example/")
    page.click("#a")
    page.wait_for_url(url(gw, up.vmid, "/deep"))
    assert page.text_content("#b") == "deep"
    page.evaluate("""() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/post';
        document.body.append(f); f.submit(); }""")
    page.wait_for_url(url(gw, up.vmid, "/post"))
    assert page.text_content("#b") == "posted"


def test_a_new_generation_forgets_the_former_tenants_worker(gw, context):
    up = site(gw, {"/": html("<b id=b>new tenant</b>"), "/old": html(
        "<script>navigator.serviceWorker.register('/sw.js'); localStorage.setItem('left', 'behind')</script>"),
        "/sw.js": javascript(WORKER.replace("fetch(event.request)", "new Response('ghost of the old tenant')"))})
    page = context.new_page()
    enter(gw, page, up.vmid, "/old")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    gw.write_routes(lambda routes: routes["ide"][up.vmid].update(generation="tenant-two"))
    fresh = context.new_page()  # a launch by POST from the portal: the old worker answers GET navigations itself
    form = (f"<form id=f method=post action='{url(gw, up.vmid, '/.zlh/launch')}'>"
            f"<input name=token value='{gw.token(up.vmid)}'></form><script>f.submit()</script>")
    page.close()
    fresh.route("https://portal.example/*", lambda route: route.fulfill(content_type="text/html", body=form))
    # The worker sees the POST as well; a launch sent past it is what clears it.
    cdp = context.new_cdp_session(fresh)
    cdp.send("Network.enable")
    cdp.send("Network.setBypassServiceWorker", {"bypass": True})
    fresh.goto("https://portal.example/")
    fresh.wait_for_url(url(gw, up.vmid))
    cdp.send("Network.setBypassServiceWorker", {"bypass": False})
    fresh.goto(url(gw, up.vmid))
    assert fresh.text_content("#b") == "new tenant"
    assert fresh.evaluate("localStorage.getItem('left')") is None
    assert fresh.evaluate("navigator.serviceWorker.getRegistrations().then(r => r.length)") == 0


def test_own_frames_as_webviews_use_them(gw, context):
    up = site(gw, {"/": html("<iframe id=w src=/webview></iframe>"),
                   "/webview": html("<script>fetch('/data').then(r => r.text()).then(t => { document.title = t;"
                                    "parent.postMessage(t, '*') })</script>"), "/data": answer(b"from inside")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    inner = page.frame(url=url(gw, up.vmid, "/webview"))
    wait_for(lambda: (page.wait_for_timeout(50), inner.title() == "from inside")[1])


def test_sandboxed_frames_have_an_opaque_origin_and_no_way_in(gw, context):
    up = site(gw, {"/": html("<iframe sandbox='allow-scripts' src=/inner></iframe>"),
                   "/inner": html("<script>fetch('/data', {method: 'POST'}).then(() => document.title = 'sent',"
                                  " () => document.title = 'failed')</script>"), "/data": answer(b"x")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.wait_for_timeout(700)
    assert all(request.method != "POST" for request in up.requests)


@pytest.mark.http1_too
def test_event_source(gw, spoken, context):
    go = threading.Event()

    def script(connection):
        while (request := connection.read()) is not None:
            if request.target == "/events":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
                                b"data: one\n\n")
                go.wait(5)
                connection.send(b"data: two\n\n")
                connection.wait_closed(5)
                return
            connection.send(html("<script>seen = []; new EventSource('/events').onmessage = e => seen.push(e.data)"
                                 "</script>"))

    up = gw.upstream(script)
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.wait_for_function("seen.length == 1")
    go.set()
    page.wait_for_function("seen.join() == 'one,two'")


@pytest.mark.http1_too
def test_web_socket(gw, spoken, context):
    def script(connection):
        while (request := connection.read()) is not None:
            if request.get("upgrade"):
                connection.send(switching(request))
                first = connection.buffer or (connection.fill() and connection.buffer)
                assert first
                connection.buffer = b""
                connection.send(b"\x81\x05hello")
                echoes_bytes(connection)
                return
            connection.send(html("ok"))

    up = gw.upstream(script)
    since = len(gw.log)
    page = context.new_page()
    protocols = Protocols(page)
    enter(gw, page, up.vmid)
    assert protocols.of("/") == {spoken}
    assert page.evaluate("""() => new Promise((done, failed) => {
        const w = new WebSocket(location.origin.replace('https', 'wss') + '/ws');
        w.onopen = () => w.send('hi'); w.onmessage = e => done(e.data); w.onerror = () => failed('error'); })"""
                         ) == "hello"
    opens = gw.wait_log(lambda e: e["event"] == "tunnel_open" and e["vmid"] == up.vmid, 3, since)
    assert opens["protocol"] == spoken and opens["method"] == "GET"


@pytest.mark.http1_too
def test_logout_in_one_tab_ends_the_socket_of_another(gw, spoken, context):
    def script(connection):
        while (request := connection.read()) is not None:
            if request.get("upgrade"):
                connection.send(switching(request))
                connection.wait_closed(20)
                return
            connection.send(html("ok"))

    up = gw.upstream(script)
    page, other = context.new_page(), context.new_page()
    enter(gw, page, up.vmid)
    page.evaluate("""() => new Promise(done => { w = new WebSocket(location.origin.replace('https', 'wss') + '/ws');
        w.onopen = done; code = 0; w.onclose = e => code = e.code; })""")
    other.goto(url(gw, up.vmid))
    assert other.evaluate("fetch('/.zlh/logout', {method: 'POST'}).then(r => r.status)") == 204
    page.wait_for_function("code == 1008", timeout=3000)
    assert other.goto(url(gw, up.vmid)).status == 401


def test_download(gw, context, tmp_path):
    body = bytes(range(256)) * 40_000
    up = site(gw, {"/": html("<a id=a href=/file>get</a>"), "/file": answer(body, headers=[
        "Content-Type: application/octet-stream", "Content-Disposition: attachment; filename=data.bin"])})
    page = context.new_page()
    enter(gw, page, up.vmid)
    with page.expect_download() as waiting:
        page.click("#a")
    waiting.value.save_as(tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == body


def test_upload_by_form(gw, context, tmp_path):
    (tmp_path / "up.bin").write_bytes(bytes(range(256)) * 20_000)
    up = site(gw, {"/": html("<form id=f method=post action=/done enctype=multipart/form-data><input id=i type=file "
                             "name=file></form>"), "/done": html("<b id=b>done</b>")})
    page = context.new_page()
    enter(gw, page, up.vmid)
    page.set_input_files("#i", tmp_path / "up.bin")
    page.evaluate("f.submit()")
    page.wait_for_url(url(gw, up.vmid, "/done"))
    assert (tmp_path / "up.bin").read_bytes() in up.last.body


def test_the_page_of_a_starting_ide_comes_alive_by_itself(gw, context):
    vmid = gw.claim_vmid()
    page = context.new_page()
    enter(gw, page, vmid)
    assert page.title()
    site(gw, {"/": html("<b id=b>awake</b>")}, vmid)
    page.wait_for_selector("#b", timeout=15_000)


def test_a_launch_before_its_route_comes_alive_by_itself(gw, context):
    vmid = 3333
    page = context.new_page()
    enter(gw, page, vmid)
    gw.write_routes(lambda routes: routes["ide"].update({
        vmid: {"address": "127.202.1.1", "port": 6000, "generation": "z"}}))
    site(gw, {"/": html("<b id=b>routed</b>")}, vmid)
    page.wait_for_selector("#b", timeout=15_000)


def test_back_and_reload_on_a_launch_url(gw, context):
    """Browsers repeat the launch request; with its live session it just goes on."""
    up = site(gw, {"/": html("<b id=b>in</b>")})
    page = context.new_page()
    target = url(gw, up.vmid, f"/.zlh/launch?token={gw.token(up.vmid)}")
    page.goto(target)
    page.goto(target)
    assert page.url == url(gw, up.vmid) and page.text_content("#b") == "in"


def test_one_connection_for_many_hosts(gw, context):
    """Chromium puts hosts of one certificate and address on one connection: each request still stands for itself."""
    one = site(gw, {"/": html("<b id=b>one</b>"), "/x": answer(b"one")})
    two = site(gw, {"/": html("<b id=b>two</b>"), "/x": answer(b"two")})
    for up, word in ((one, "one"), (two, "two"), (one, "one")):
        page = context.new_page()
        protocols = Protocols(page)
        enter(gw, page, up.vmid)
        assert page.text_content("#b") == word
        assert page.evaluate("Promise.all(Array.from({length: 50}, () => fetch('/x').then(r => r.text())))"
                             ) == [word] * 50
        assert protocols.of("/x") == {"h2"}
    stranger = context.new_page()
    assert stranger.goto(url(gw, gw.claim_vmid())).status == 401


def test_requests_seen_are_typed(gw, context):
    """The harness's own check: a browser's request reaches the container as a Request."""
    up = site(gw, {"/": html("x")})
    enter(gw, context.new_page(), up.vmid)
    assert isinstance(up.last, Request) and up.last.get("x-forwarded-port") == str(gw.port)


# --- our own close frames ---

CLOSES = """<script>
window.seen = {};
const socket = new WebSocket(`wss://${location.host}/ws`);
socket.onopen = () => seen.isOpen = true;
socket.onclose = event => seen.close = [event.code, event.wasClean, event.reason];
</script>"""


def ends_cleanly(gw, goto, evaluate):
    """A close of ours is to a page what a container's is."""
    def serve(connection):
        while (request := connection.read()) is not None:
            if request.target == "/ws":
                connection.send(switching(request))
                connection.wait_closed(20)
                return
            connection.send(html(CLOSES))

    for way, expected in (("moved", [1012, True, "container moved or replaced"]), ("logout", [1008, True, "logged out"])):
        up = gw.upstream(serve)
        goto(url(gw, up.vmid, f"/.zlh/launch?token={gw.token(up.vmid)}&next=/"))
        wait_for(lambda: evaluate("seen.isOpen"))
        if way == "moved":
            gw.write_routes(lambda routes: routes["ide"][up.vmid].update(generation="another"))
        else:
            evaluate("void fetch('/.zlh/logout', { method: 'POST' })")
        assert wait_for(lambda: evaluate("seen.close")) == expected


@pytest.mark.http1_too
def test_our_close_is_clean_to_chromium(gw, spoken, context):
    page = context.new_page()
    ends_cleanly(gw, page.goto, page.evaluate)


def test_our_close_is_clean_to_firefox(gw, spoken):
    if not os.path.exists(FIREFOX):
        pytest.skip("no firefox")
    with firefox(free_port(), http2=spoken == "h2") as browser:
        ends_cleanly(gw, browser.goto, browser.evaluate)
