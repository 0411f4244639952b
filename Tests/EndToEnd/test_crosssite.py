"""The cross-site rule: which requests of other pages reach a container, as one table."""

import pytest

from harness import over_both, websocket
from harness.gateway import NAVIGATION
from harness.http2 import status_of
from harness.upstreams import answer as reply
from harness.upstreams import echoes_bytes, switching

GATEWAY = {}
OWN, SIBLING, FOREIGN = "own", "https://dev-1199.zlh.localhost", "https://evil.example"


def fetch(site, mode=None, dest=None, origin=None):
    fields = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Origin": origin}
    return {name: value for name, value in fields.items() if value is not None}


TABLE = [
    # method, headers, passes
    ("GET", {}, True),
    ("POST", {}, True),
    ("GET", fetch("same-origin", "cors", "empty"), True),
    ("POST", fetch("same-origin", "cors", "empty", OWN), True),
    ("POST", fetch("same-origin", "cors", "empty", "null"), True),
    ("POST", fetch("same-origin", "navigate", "document", "null"), True),
    ("POST", fetch("same-origin", "cors", "empty", FOREIGN), True),
    ("GET", fetch("none", "navigate", "document"), True),
    ("POST", fetch("none", "navigate", "document", FOREIGN), True),
    *[(method, fetch(site, mode, dest, origin), mode == "navigate" and dest in ("document", "empty")
       and method in ("GET", "HEAD"))
      for site in ("same-site", "cross-site")
      for method in ("GET", "HEAD", "POST", "DELETE")
      for mode, dest in (("navigate", "document"), ("navigate", "empty"), ("navigate", "iframe"),
                         ("navigate", "embed"), ("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"),
                         ("no-cors", "document"))
      for origin in (None,)],
    ("GET", fetch("cross-site"), False),
    ("GET", fetch("same-site", "cors", "empty", SIBLING), False),
    ("GET", fetch("something-new", "navigate", "document"), None),
    ("GET", {"Origin": FOREIGN}, True),
    ("HEAD", {"Origin": FOREIGN}, True),
    ("POST", {"Origin": OWN}, True),
    ("POST", {"Origin": FOREIGN}, False),
    ("POST", {"Origin": SIBLING}, False),
    ("POST", {"Origin": "null"}, False),
    ("PUT", {"Origin": "null"}, False),
    ("DELETE", {"Origin": FOREIGN}, False),
    ("PATCH", {"Origin": FOREIGN}, False),
    ("POST", {"Origin": "http://dev-{vmid}.zlh.localhost"}, False),
    ("POST", {"Origin": "https://dev-{vmid}.zlh.localhost:444"}, False),
    ("POST", {"Origin": "https://dev-{vmid}.zlh.localhost.evil.example"}, False),
]


def pages_and_sockets(connection):
    while (request := connection.read()) is not None:
        if request.get("upgrade"):
            connection.send(switching(request))
            echoes_bytes(connection)
            return
        connection.send(reply())


@pytest.fixture(scope="module")
def vmid(gw):
    return gw.upstream(pages_and_sockets).vmid


@pytest.fixture(scope="module")
def cookie(gw, vmid):
    return gw.launch(vmid)


@over_both
@pytest.mark.parametrize("method, headers, passes", TABLE, ids=lambda value: str(value)[:90])
def test_request(gw, vmid, cookie, method, headers, passes):
    if passes is None:
        pytest.skip("a value that the rule does not name")
    headers = {name: value.replace(OWN, gw.origin(vmid)) if value == OWN else value.replace("{vmid}", str(vmid))
               for name, value in headers.items()}
    with gw.client(vmid) as raw:
        answer = raw.request(method, "/", headers, b"" if method in ("POST", "PUT", "PATCH") else None, cookie=cookie)
    assert answer.status == (200 if passes else 403), (headers, answer)
    if not passes and method != "HEAD" and answer.get("content-type", "").startswith("application/json"):
        assert answer.json()["error"] == "forbidden"


@over_both
@pytest.mark.parametrize("origin, passes", [
    ("own", True), ("UPPER", False), (None, False), ("null", False), (SIBLING, False), (FOREIGN, False),
    ("http", False), ("port", False), ("slash", False), ("", False),
])
def test_upgrade_needs_its_own_origin(gw, vmid, cookie, origin, passes):
    own = gw.origin(vmid)
    value = {"own": own, "UPPER": own.upper(), "http": own.replace("https", "http"), "port": own + ":444",
             "slash": own + "/"}.get(origin, origin)
    with gw.client(vmid) as raw:
        asked = websocket.asked(raw, cookie=cookie, origin=value)
    assert asked.accepted == passes, asked.opening
    assert passes or asked.opening.status == 403, asked.opening


@over_both
def test_upgrade_with_two_origins_is_refused(gw, vmid, cookie):
    own = gw.origin(vmid)
    with gw.client(vmid) as raw:
        fields = [("Sec-WebSocket-Version", "13"), ("Origin", own), ("Origin", own)]
        assert status_of(lambda: raw.websocket("/ws", fields, cookie=cookie, key=websocket.KEY).opening) in (400, 403)


@over_both
def test_sec_fetch_plays_no_part_for_upgrades(gw, vmid, cookie):
    with gw.client(vmid) as raw:
        assert websocket.asked(raw, cookie=cookie, headers={"Sec-Fetch-Site": "cross-site"}).accepted
    with gw.client(vmid) as raw:
        answer = websocket.upgrade(raw, cookie=cookie, origin=FOREIGN, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status == 403


@over_both
def test_upgrade_by_a_program(gw, vmid, cookie):
    token = {"X-ZLH-Token": gw.token(vmid)}
    for origin, with_cookie, passes in [(None, None, True), ("own", None, True), (FOREIGN, None, False),
                                        (None, cookie, False)]:
        with gw.client(vmid) as raw:
            asked = websocket.asked(raw, cookie=with_cookie, origin=origin, headers=token)
            assert asked.accepted == passes and (passes or asked.opening.status in (401, 403)), (origin, asked.opening)


@over_both
def test_own_origin_includes_the_port_and_is_lower_cased(gw, vmid, cookie):
    for host, origin, status in [
        (gw.host(vmid) + ":8443", gw.origin(vmid) + ":8443", 200), (gw.host(vmid) + ":8443", gw.origin(vmid), 403),
        (gw.host(vmid).upper(), gw.origin(vmid), 200),
    ]:
        answer = gw.request(vmid, "/", {"Origin": origin}, method="POST", body=b"", cookie=cookie, host=host)
        assert answer.status == status, (host, origin)


@over_both
def test_it_comes_after_the_session_and_before_the_route(gw, vmid):
    foreign = fetch("cross-site", "no-cors", "image")
    assert gw.request(vmid, "/", foreign).status == 401
    gone = gw.claim_vmid()
    session = gw.launch(gone)
    gw.write_routes(lambda routes: routes["ide"].pop(gone))
    assert gw.request(gone, "/", foreign, cookie=session).status == 403
    assert gw.request(gone, "/", NAVIGATION, cookie=session).status == 404


# --- what a service worker's re-fetch hides ---

REFETCHED = fetch("same-origin", "same-origin", "empty", OWN)


@over_both
@pytest.mark.parametrize("referer, passes", [
    ("{own}/form", True), ("{own}", True), ("{own}:443/", True), ("about:client", True), ("", True), ("/form", True),
    (None, True),
    (SIBLING + "/form", False), (SIBLING, False), ("{own}.evil.example/", False), ("{own}@evil.example/", False),
    ("{own}:8443/", False), ("http://dev-{vmid}.zlh.localhost/", False), ("https://evil.example/{own}/", False),
])
def test_a_siblings_form_that_looks_same_origin_is_told_by_its_referer(gw, vmid, cookie, referer, passes):
    headers = {name: value.replace(OWN, gw.origin(vmid)) for name, value in REFETCHED.items()}
    if referer is not None:
        headers["Referer"] = referer.format(own=gw.origin(vmid), vmid=vmid)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = gw.request(vmid, "/", headers, method=method, body=b"a=b", cookie=cookie)
        assert answer.status == (200 if passes else 403), (method, answer)
    assert gw.request(vmid, "/", headers, cookie=cookie).status == 200, "a GET passes"


@over_both
def test_a_siblings_form_that_withholds_its_referer_has_a_null_origin(gw, vmid, cookie):
    for origin, status in (("null", 403), (SIBLING, 403), (gw.origin(vmid), 200)):
        headers = REFETCHED | {"Origin": origin, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        assert gw.request(vmid, "/", headers, method="POST", body=b"a=b", cookie=cookie).status == status


@over_both
def test_two_referers_are_doubtful(gw, vmid, cookie):
    own = gw.origin(vmid)
    headers = [("Sec-Fetch-Site", "same-origin"), ("Referer", own + "/"), ("Referer", SIBLING + "/")]
    assert gw.request(vmid, "/", headers, method="POST", body=b"", cookie=cookie).status == 403


@over_both
def test_the_referer_plays_no_part_for_upgrades(gw, vmid, cookie):
    with gw.client(vmid) as raw:
        assert websocket.asked(raw, cookie=cookie, headers={"Referer": SIBLING + "/"}).accepted


@over_both
def test_the_referer_covers_logout_and_never_a_launch(gw, vmid):
    headers = {name: value.replace(OWN, gw.origin(vmid)) for name, value in REFETCHED.items()} | {
        "Referer": SIBLING + "/"}
    session = gw.launch(vmid)
    assert gw.request(vmid, "/.zlh/logout", headers, method="POST", body=b"", cookie=session).status == 403
    assert gw.request(vmid, "/.zlh/session", cookie=session).status == 200
    form = f"token={gw.token(vmid)}".encode()
    headers = NAVIGATION | {"Sec-Fetch-Site": "same-site", "Origin": SIBLING, "Referer": SIBLING + "/",
                            "Content-Type": "application/x-www-form-urlencoded"}
    assert gw.request(vmid, "/.zlh/launch", headers, method="POST", body=form).status == 303
