"""How requests go out whose body is empty or known, upgrades that say they have none, the target of a plain
OPTIONS, hosts with the port that needs no saying, and dates."""

import email.utils
import time

import pytest

from harness import over_both
from harness.frames import END_HEADERS, END_STREAM, Frames, frame
from harness import frames as f
from harness.gateway import FETCH
from harness.upstreams import answer as reply
from harness.upstreams import after_request, echoes_bytes, replies, upgrades_and
from harness.websocket import asked

GATEWAY = {"limits": {"upstream": {"connect": "2s", "response": "5s", "per_vmid": 1}}}
MEANINGFUL = ["POST", "PUT", "PATCH"]


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies())


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


def framing(request) -> tuple[str | None, str | None]:
    return request.get("content-length"), request.get("transfer-encoding")


# --- no body ---

@over_both
@pytest.mark.parametrize("method", MEANINGFUL)
def test_a_method_that_wants_a_body_goes_out_with_a_length(gw, up, cookie, method):
    assert gw.request(up.vmid, headers=FETCH, method=method, cookie=cookie).status == 200
    assert framing(up.last) == ("0", None)


@over_both
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND"])
def test_any_other_method_goes_out_with_none(gw, up, cookie, method):
    assert gw.request(up.vmid, headers=FETCH, method=method, cookie=cookie).status == 200
    assert framing(up.last) == (None, None)


@over_both
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_length_that_was_given_goes_out_once(gw, up, cookie, method):
    assert gw.request(up.vmid, headers=FETCH, method=method, body=b"", cookie=cookie).status == 200
    assert framing(up.last) in [("0", None)]


@pytest.mark.parametrize("method", ["GET", "DELETE", *MEANINGFUL])
@pytest.mark.parametrize("trailers", [False, True], ids=["data", "trailers"])
def test_a_request_ended_by_an_empty_frame_has_no_body(gw, up, cookie, method, trailers):
    """Firefox, and many a library, sends the head first and the end in a DATA frame of its own."""
    with Frames(gw, up.vmid) as client:
        head = client.request(1, method=method, cookie=cookie, end=False, more=list(low(FETCH)))
        end = (frame(f.HEADERS, 1, f.literal(b"x-t", b"1"), END_HEADERS | END_STREAM) if trailers
               else frame(f.DATA, 1, b"", END_STREAM))
        client.raw(head + end)
        client.pump_until(lambda: 1 in client.ended)
        assert client.status(1) == 200
    assert framing(up.last) == ("0" if method in MEANINGFUL else None, None)


def low(fields: dict):
    return ((name.lower(), value) for name, value in fields.items())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("pieces", [[b"whole"], [b"who", b"le"]])
def test_a_body_that_is_here_already_has_a_length(gw, up, cookie, method, pieces):
    with Frames(gw, up.vmid) as client:
        data = b"".join(frame(f.DATA, 1, piece) for piece in pieces[:-1]) + frame(f.DATA, 1, pieces[-1], END_STREAM)
        client.raw(client.request(1, method=method, cookie=cookie, end=False, more=list(low(FETCH))) + data)
        client.pump_until(lambda: 1 in client.ended)
        assert client.status(1) == 200
    assert framing(up.last) == ("5", None) and up.last.body == b"whole"


def test_what_ends_while_it_waits_for_a_place_is_not_chunked(gw):
    def slow(request):
        time.sleep(0.6)
        return reply()

    upstream = gw.upstream(replies(slow))
    cookie = gw.launch(upstream.vmid)
    with Frames(gw, upstream.vmid) as client:
        client.raw(client.request(1, cookie=cookie, more=list(low(FETCH))))
        upstream.wait_requests(1)
        client.raw(client.request(3, cookie=cookie, end=False, more=list(low(FETCH))))
        client.pump_for(0.1)
        client.raw(frame(f.DATA, 3, b"", END_STREAM))
        client.pump_until(lambda: 3 in client.ended)
        assert client.status(3) == 200
    assert framing(upstream.last) == (None, None)


def test_a_body_that_is_still_coming_is_chunked(gw, up, cookie):
    count = len(up.requests)
    with Frames(gw, up.vmid) as client:
        client.raw(client.request(1, method="POST", cookie=cookie, end=False, more=list(low(FETCH)))
                   + frame(f.DATA, 1, b"first"))
        up.wait_requests(count + 1)
        client.raw(frame(f.DATA, 1, b"second", END_STREAM))
        client.pump_until(lambda: 1 in client.ended)
        assert client.status(1) == 200
    assert framing(up.last) == (None, "chunked") and up.last.body == b"firstsecond"


# --- upgrades ---

def test_an_upgrade_without_a_body_may_say_so(gw):
    """As Envoy does of every request. Over HTTP/2 nghttp2 holds a tunnel to such a length."""
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    with asked(gw.client(upstream.vmid), cookie=gw.launch(upstream.vmid), headers={"Content-Length": "0"}) as tunnel:
        assert tunnel.accepted, tunnel.opening
        assert framing(upstream.last) == (None, None)
        tunnel.send(b"hello")
        assert tunnel.read_exactly(5) == b"hello"


@over_both
def test_an_upgrade_with_a_body_is_refused(gw, up, cookie):
    assert asked(gw.client(up.vmid), cookie=cookie, headers={"Content-Length": "5"}).opening.status in (400, 403)


# --- targets and hosts ---

def test_an_options_of_the_host_alone_goes_out_as_asterisk(gw, up, cookie):
    for target, forwarded in [("https://{}", "*"), ("https://{}/", "/"), ("https://{}?q", "/?q"), ("*", "*"),
                              ("HTTPS://{}", "*"), ("https://{}:443", "*")]:
        answer = gw.request(up.vmid, target.format(gw.host(up.vmid)), FETCH, method="OPTIONS", cookie=cookie)
        assert answer.status == 200 and up.last.target == forwarded, target
    answer = gw.request(up.vmid, "https://" + gw.host(up.vmid), FETCH, cookie=cookie)
    assert answer.status == 200 and up.last.target == "/", "no other method asks for the host alone"


@pytest.mark.parametrize("target, host, status", [
    ("", "", 200), (":443", "", 200), ("", ":443", 200), (":443", ":443", 200), (":0443", "", 200), (":8443", "", 400),
    ("", ":8443", 400), (":443", ":8443", 400), (":8443", ":8443", 200), (":1443", "", 400), (":4430", "", 400),
])
def test_the_default_port_of_a_target_needs_no_saying(gw, up, cookie, target, host, status):
    name = gw.host(up.vmid)
    answer = gw.request(up.vmid, f"https://{name}{target}/x", FETCH, cookie=cookie, host=name + host)
    assert answer.status == status, answer
    assert status != 200 or up.last.get("host") == name + host, "as received"


@pytest.mark.parametrize("name_port, host_port, status", [("", ":443", 200), (":443", "", 200), ("", ":8443", 400)])
def test_authority_and_host_agree_but_for_the_default_port(gw, up, cookie, name_port, host_port, status):
    name = gw.host(up.vmid)
    with Frames(gw, up.vmid) as client:
        client.raw(client.request(1, cookie=cookie, host=name + name_port,
                                  more=[("host", name + host_port), *low(FETCH)]))
        client.pump_until(lambda: 1 in client.ended or 1 in client.resets)
        assert client.status(1) == status


@over_both
@pytest.mark.parametrize("origin, host, status", [
    ("", "", 200), (":443", "", 200), ("", ":443", 200), (":8443", "", 403), ("", ":8443", 403), (":443", ":8443", 403),
    (":8443", ":8443", 200),
])
def test_the_default_port_of_an_origin_needs_no_saying(gw, up, cookie, origin, host, status):
    name = gw.host(up.vmid)
    answer = gw.request(up.vmid, "/", {"Origin": f"https://{name}{origin}"}, method="POST", cookie=cookie,
                        host=name + host)
    assert answer.status == status, answer


@over_both
@pytest.mark.parametrize("origin, host", [(":443", ""), ("", ":443")])
def test_a_websocket_of_the_default_port(gw, origin, host):
    upstream = gw.upstream(upgrades_and(echoes_bytes))
    client = gw.client(upstream.vmid)
    name = client.host
    client.host = name + host
    with asked(client, cookie=gw.launch(upstream.vmid), origin=f"https://{name}{origin}") as tunnel:
        assert tunnel.accepted, tunnel.opening


# --- dates ---

@over_both
def test_an_answer_without_a_date_gets_one(gw, up, cookie):
    for method in ("GET", "HEAD"):
        answer = gw.request(up.vmid, headers=FETCH, method=method, cookie=cookie)
        assert abs(email.utils.parsedate_to_datetime(answer.one("date")).timestamp() - time.time()) < 5


@over_both
def test_an_answer_with_a_date_keeps_it(gw):
    for date in ("Sun, 06 Nov 1994 08:49:37 GMT", "yesterday"):
        upstream = gw.upstream(replies(reply(headers=[f"Date: {date}"])))
        answer = gw.request(upstream.vmid, headers=FETCH, cookie=gw.launch(upstream.vmid))
        assert answer.one("date") == date


@over_both
def test_interim_answers_and_handshakes_get_no_date(gw):
    upstream = gw.upstream(after_request(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply()))
    with gw.client(upstream.vmid) as client:
        answer = client.request(headers=FETCH, cookie=gw.launch(upstream.vmid))
        assert not answer.interim[0].all("date") and answer.one("date")
