"""What crosses between browser and container, checked to the byte in both directions."""

import pytest

from harness import over_both
from harness.gateway import FETCH
from harness.http2 import status_of
from harness.upstreams import answer as reply
from harness.upstreams import replies

GATEWAY = {}
REPLY: list[bytes] = [b""]


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies(lambda request: REPLY[0]))


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


@pytest.fixture(autouse=True)
def plain_reply():
    REPLY[0] = reply()


def sent(gw, up, cookie, headers=(), **how):
    """What the container saw of one request."""
    before = len(up.requests)
    assert gw.request(up.vmid, how.pop("target", "/"), headers, cookie=cookie, **how).status == 200
    return up.wait_requests(before + 1)[-1]


def seen(gw, up, cookie, head: str | bytes, **how):
    """What the browser saw of one answer."""
    REPLY[0] = head if isinstance(head, bytes) else head.encode("latin-1")
    return gw.request(up.vmid, "/", FETCH, cookie=cookie, **how)


# --- to the container ---

@over_both
def test_the_whole_request_to_the_byte(gw, http, up, cookie):
    pad = " " if http == "http/1.1" else ""  # of HTTP/1.1's framing; HTTP/2 has none and forbids the like
    request = sent(gw, up, None, [
        ("X-Custom", f"{pad}some \tvalue{pad}"), ("ACCEPT", "*/*"), ("x-Custom", "second"), ("User-Agent", "x/1 (y; z)"),
        ("Cookie", f"a=1; __Host-zlh_s={cookie}; b=\"2\""), ("Authorization", "Bearer own"), ("X-Empty", ""),
        *([("Connection", "close")] if http == "http/1.1" else []),
    ], target="/a/../b//c/%2e?x=%zz&y=[]{}|\"<>")
    start, *lines = request.head[:-4].decode("latin-1").split("\r\n")
    assert start == "GET /a/../b//c/%2e?x=%zz&y=[]{}|\"<> HTTP/1.1"
    fields = [(name, value) for name, value in request.headers if name.lower() != "connection"]
    host = gw.host(up.vmid)
    request_id = request.get("x-request-id")
    assert sorted((name.lower(), value) for name, value in fields) == sorted([
        ("host", host), ("x-custom", "some \tvalue"), ("accept", "*/*"), ("x-custom", "second"),
        ("user-agent", "x/1 (y; z)"), ("cookie", 'a=1; b="2"'), ("authorization", "Bearer own"), ("x-empty", ""),
        ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", host), ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"), ("x-request-id", request_id),
    ])
    if http == "http/1.1":
        assert {"X-Custom", "ACCEPT", "x-Custom", "User-Agent"} <= {name for name, _ in fields}, "spelling is kept"
    order = [value for name, value in fields if name.lower() == "x-custom"]
    assert order == ["some \tvalue", "second"]
    assert "close" not in (request.get("connection") or ""), "the client's hop is not the container's"


@over_both
def test_x_request_id_is_ours_on_both_sides(gw, up, cookie):
    before = len(up.requests)
    answer = gw.request(up.vmid, "/", {"X-Request-Id": "mine"}, cookie=cookie)
    assert answer.one("x-request-id") == up.requests[before].get("x-request-id") != "mine"


@over_both
def test_host_is_lower_cased_and_keeps_its_port(gw, up, cookie):
    host = gw.host(up.vmid)
    request = sent(gw, up, cookie, host=host.upper() + ":8443")
    assert request.get("host") == request.get("x-forwarded-host") == f"{host}:8443"
    assert request.get("x-forwarded-port") == "8443"
    request = sent(gw, up, cookie, host=host + ".")
    assert request.get("host") in (host, host + ".")
    assert request.get("x-forwarded-port") == "443"


REMOVED = [
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Anything",
    "X-Real-IP", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL", "Proxy", "Proxy-Authorization",
    "Proxy-Connection", "X-ZLH-Anything", "X_Forwarded_For", "X_Custom", "Content_Length", "HTTP2-Settings",
    "Keep-Alive", "TE", "Trailer", "x-fOrWaRdEd-fOr", "_", "Upgrade",
]


# RFC 9113 §8.2.2: a request with one of these is malformed.
CONNECTION_SPECIFIC = {"proxy-connection", "keep-alive", "te", "upgrade"}


@over_both
@pytest.mark.parametrize("name", REMOVED)
def test_removed_on_the_way_in(gw, http, up, cookie, name):
    if http == "h2" and name.lower() in CONNECTION_SPECIFIC:
        before = len(up.requests)
        assert status_of(lambda: gw.request(up.vmid, "/", {name: "forged"}, cookie=cookie)) == 400
        assert len(up.requests) == before
        return
    assert b"forged" not in sent(gw, up, cookie, {name: "forged"}).head


@pytest.mark.parametrize("nominated", ["X-Hop", "x-hop, X-Other", "close, X-Hop", "keep-alive,,X-Hop"])
def test_fields_that_connection_names_are_removed(gw, up, cookie, nominated):
    request = sent(gw, up, cookie, {"Connection": nominated, "X-Hop": "forged", "X-Stay": "y"})
    assert b"forged" not in request.head and request.get("x-stay") == "y"


@pytest.mark.parametrize("target", [
    "X-Forwarded-For", "X-Forwarded-Proto", "Host", "Cookie", "Authorization", "X-Request-Id", "Content-Length",
    "X-Forwarded-Host", "Transfer-Encoding",
])
def test_connection_cannot_remove_what_matters(gw, up, cookie, target):
    request = sent(gw, up, None, [("Connection", f"close, {target}"), ("Authorization", "Bearer x"),
                                  ("Cookie", f"a=1; __Host-zlh_s={cookie}")], method="POST", body=b"abc")
    fields = request.fields()
    for name in ("host", "authorization", "cookie", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
                 "x-request-id"):
        assert len(fields.get(name, [])) == 1, (name, request.head)
    assert request.body == b"abc"


@over_both
@pytest.mark.parametrize("before, after", [
    ("{s}", None), ("a=1; {s}", "a=1"), ("{s}; a=1", "a=1"), ("a=1; {s}; b=2", "a=1; b=2"),
    ("a=1;{s};b=2", ("a=1;b=2", "a=1; b=2")), ("{s}; __Host-zlh_g=x; __Secure-zlh_y=z; zlh_q=1", None),
    ("__Host-zlhx=1; {s}; a=\"; b\"", 'a="; b"'), ("{s}; =odd; noequals; a==b", "=odd; noequals; a==b"),
    ("xzlh_s=1; {s}; __host-zlh=2", ("xzlh_s=1; __host-zlh=2", "xzlh_s=1")), ("a=\u00e9\u00ff; {s}", "a=\u00e9\u00ff"),
])
def test_our_cookies_never_reach_it_and_others_are_untouched(gw, up, cookie, before, after):
    request = sent(gw, up, None, [("Cookie", before.format(s=f"__Host-zlh_s={cookie}"))])
    values = request.all("cookie")
    if after is None:
        assert values == []
    else:
        assert len(values) == 1 and values[0] in ([after] if isinstance(after, str) else after)


@over_both
def test_a_cookie_header_without_ours_is_byte_exact(gw, up):
    token = {"X-ZLH-Token": gw.token(up.vmid), "Cookie": "a=1;b=2;  c = 3 ;;"}
    assert sent(gw, up, None, token).get("cookie") == "a=1;b=2;  c = 3 ;;"


@over_both
@pytest.mark.parametrize("target", [
    "/", "//", "/a//b/./../c", "/%00", "/%2e%2e/%2F", "/a;b=c", "/?", "/??", "/?a=b?c", "/%", "/%zz", "/a\\b", "/a|b",
    "/'\"<>^`{}", "/.zlhx", "/x/.zlh/launch", "/?next=/.zlh/", "/~!$&()*+,=:@",
])
def test_targets_go_as_they_came(gw, up, cookie, target):
    assert sent(gw, up, cookie, target=target).target == target


def test_bodies_are_reframed_and_trailers_dropped(gw, up, cookie):
    body = b"5;ext=1\r\nhello\r\n00006 ; q=\"a\"\r\n world\r\n0;last\r\nX-Trailer: forged\r\n\r\n"
    body = body.replace(b"00006 ;", b"00006;")
    request = sent(gw, up, cookie, {"Transfer-Encoding": "chunked", "Trailer": "X-Trailer"}, method="POST", body=body)
    assert request.body == b"hello world"
    assert b"forged" not in request.raw_body and b"ext" not in request.raw_body


@over_both
def test_length_bodies_keep_their_length(gw, up, cookie):
    request = sent(gw, up, cookie, method="POST", body=b"x" * 70_000)
    assert request.get("content-length") == "70000" and request.body == b"x" * 70_000
    request = sent(gw, up, cookie, method="POST", body=b"")
    assert request.get("content-length") == "0"
    assert "content-length" not in sent(gw, up, cookie).fields()


# --- from the container ---

@over_both
def test_the_whole_answer_to_the_byte(gw, http, up, cookie):
    answer = seen(gw, up, cookie, "HTTP/1.1 299 Odd Reason\r\nX-One:  a b \r\nx-two: 2\r\nX-One: again\r\n"
                  "Content-Type: text/plain\r\nServer: own\r\nContent-Length: 2\r\nDate: yesterday\r\n\r\nok")
    assert answer.status == 299
    if http == "http/1.1":
        assert answer.raw_head.startswith(b"HTTP/1.1 299 Odd Reason\r\n")
        assert {"X-One", "x-two"} <= {name for name, _ in answer.headers}, "spelling is kept"
    drop = {"connection", "keep-alive"}
    assert sorted((k.lower(), v) for k, v in answer.headers if k.lower() not in drop) == sorted([
        ("x-one", "a b"), ("x-two", "2"), ("x-one", "again"), ("content-type", "text/plain"), ("server", "own"),
        ("content-length", "2"), ("date", "yesterday"), ("strict-transport-security", "max-age=31536000"),
        ("x-request-id", answer.one("x-request-id")), ("content-security-policy", "frame-ancestors 'self'"),
    ])


@over_both
@pytest.mark.parametrize("before, after", [
    ("a=1; Path=/x", "a=1; Path=/x"),
    ("a=1; Domain=zlh.localhost; Path=/", "a=1; Path=/"),
    ("a=1; Path=/; DOMAIN = .zlh.localhost", "a=1; Path=/"),
    ("a=1; domain=zlh.localhost; domain=x; Secure", "a=1; Secure"),
    ("a=1;Domain=zlh.localhost;HttpOnly", ("a=1;HttpOnly", "a=1; HttpOnly")),
    ("a=1; domain", "a=1"),
    ("a=domain=zlh; Path=/", "a=domain=zlh; Path=/"),
    ("__Host-zlh_s=forged; Secure; Path=/", None), ("__Host-zlh_g=forged", None), ("__Secure-zlh_x=forged", None),
    ("zlh_x=forged", None), (" zlh_x=forged", None), ("__Host-zlh=forged", None), ("=__Host-zlh_s=forged", None),
    ("__Host-other=1; Secure; Path=/", "__Host-other=1; Secure; Path=/"),
])
def test_set_cookie(gw, up, cookie, before, after):
    answer = seen(gw, up, cookie, reply(headers=[f"Set-Cookie: {before}", "Set-Cookie: other=1"]))
    values = answer.all("set-cookie")
    assert values[-1] == "other=1"
    if after is None:
        assert values == ["other=1"]
    else:
        assert len(values) == 2 and values[0] in ([after] if isinstance(after, str) else after)


@over_both
@pytest.mark.parametrize("before, after", [
    ('"cookies"', None), ('"cache"', {'"cache"'}), ('"cache", "cookies", "storage"', {'"cache"', '"storage"'}),
    ('"*"', {'"cache"', '"storage"', '"executionContexts"'}), ('"executionContexts"', {'"executionContexts"'}),
    ('"clientHints"', None), ("*", None), ('"cookies","*"', {'"cache"', '"storage"', '"executionContexts"'}),
    ('"cache\\"", "cookies"', None),
])
def test_clear_site_data(gw, up, cookie, before, after):
    answer = seen(gw, up, cookie, reply(headers=[f"Clear-Site-Data: {before}"]))
    values = {part.strip() for value in answer.all("clear-site-data") for part in value.split(",") if part.strip()}
    assert values == (after or set())


@over_both
@pytest.mark.parametrize("line", [
    "Alt-Svc: h3=\"evil:443\"", "Strict-Transport-Security: max-age=0; forged", "Public-Key-Pins: forged",
    "Keep-Alive: forged", "Proxy-Authenticate: forged", "Upgrade: forged", "X-Request-Id: forged",
    "Public-Key-Pins-Report-Only: forged",
])
def test_removed_on_the_way_out(gw, up, cookie, line):
    answer = seen(gw, up, cookie, reply(headers=[line]))
    if "Report-Only" not in line:
        assert b"forged" not in answer.raw_head and b"evil" not in answer.raw_head
    assert answer.one("strict-transport-security") == "max-age=31536000"


@over_both
def test_connection_of_the_answer(gw, up, cookie):
    answer = seen(gw, up, cookie, reply(headers=["Connection: X-Hop, Set-Cookie", "X-Hop: forged", "Set-Cookie: a=1"]))
    assert b"forged" not in answer.raw_head
    assert answer.one("strict-transport-security")


@over_both
def test_content_security_policy_is_added_not_replaced(gw, up, cookie):
    answer = seen(gw, up, cookie, reply(headers=["Content-Security-Policy: default-src 'none'; frame-ancestors *"]))
    assert answer.all("content-security-policy") == ["default-src 'none'; frame-ancestors *",
                                                     "frame-ancestors 'self'"]


@over_both
@pytest.mark.parametrize("interim, passed", [
    ("100 Continue", True), ("103 Early Hints", True), ("102 Processing", False), ("199 Odd", False)])
def test_interim_answers(gw, up, cookie, interim, passed):
    answer = seen(gw, up, cookie, f"HTTP/1.1 {interim}\r\nLink: </x>\r\nSet-Cookie: zlh_x=1\r\n\r\n".encode()
                  + reply(b"done"))
    assert answer.body == b"done"
    assert [i.status for i in answer.interim] == ([int(interim[:3])] if passed else [])
    for early in answer.interim:
        assert not early.all("set-cookie")


@over_both
def test_a_neighbours_answer_cannot_split_into_two(gw, up, cookie):
    REPLY[0] = reply(b"one") + reply(b"two")
    with gw.client(up.vmid) as raw:
        first = raw.request(cookie=cookie)
        assert first.body == b"one"
        REPLY[0] = reply(b"three")
        second = raw.request(cookie=cookie)
        assert second.body == b"three", "bytes beyond an answer end that connection"


@over_both
def test_pools_are_never_shared_between_vmids_or_generations(gw):
    one = gw.upstream(replies(lambda request: reply(b"one")))
    session = gw.launch(one.vmid)
    for _ in range(3):
        assert gw.request(one.vmid, "/", cookie=session).status == 200
    used = len(one.connections)
    gw.write_routes(lambda routes: routes["ide"][one.vmid].update(generation="later"))
    assert gw.request(one.vmid, "/", cookie=gw.launch(one.vmid)).status == 200
    assert len(one.connections) > used
