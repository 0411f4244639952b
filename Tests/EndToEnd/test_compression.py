"""`ide.compression`: answers are compressed where it gains and gives nothing away. Over both protocols."""

import threading
import zlib

import pytest

from harness import over_both
from harness import upstreams as rogue
from harness.gateway import FETCH, NAVIGATION, flat
from harness.raw import Closed
from harness.upstreams import answer as reply
from harness.upstreams import after_request, replies

GATEWAY = {}
MB = 1 << 20
GZIP = FETCH | {"Accept-Encoding": "gzip, deflate, br"}
TEXT = b"All work and no play makes Jack a dull boy. " * 2000
REPLY: list[bytes] = [b""]
pytestmark = over_both


@pytest.fixture(scope="module")
def up(gw):
    return gw.upstream(replies(lambda request: REPLY[0]))


@pytest.fixture(scope="module")
def cookie(gw, up):
    return gw.launch(up.vmid)


def ask(gw, up, cookie, answer: bytes, headers: dict = GZIP, **how):
    REPLY[0] = answer
    return gw.request(up.vmid, how.pop("target", "/"), headers, cookie=cookie, **how)


def typed(kind: str, body: bytes = TEXT, *more: str, status: str = "200 OK") -> bytes:
    return reply(body, status, [f"Content-Type: {kind}", *more])


def vary(answer) -> set[str]:
    return {part.strip().lower() for value in answer.all("vary") for part in value.split(",") if part.strip()}


def gunzip(data: bytes) -> bytes:
    """Exactly one whole gzip member: checksum, length and no byte behind it."""
    machine = zlib.decompressobj(wbits=31)
    text = machine.decompress(data)
    assert machine.eof and not machine.unused_data
    return text


def compressed(answer, body: bytes = TEXT):
    assert answer.status == 200 and answer.one("content-encoding") == "gzip", answer
    assert not answer.all("content-length") and not answer.all("accept-ranges")
    assert "accept-encoding" in vary(answer)
    assert len(answer.body) < len(body) / 3
    assert gunzip(answer.body) == body


def untouched(answer, body: bytes = TEXT, status: int = 200):
    assert answer.status == status and not answer.all("content-encoding"), answer
    assert answer.body == body and answer.one("content-length") == str(len(body))


# --- what is compressed ---

@pytest.mark.parametrize("kind", [
    "text/html", "text/html; charset=utf-8", "TEXT/HTML", "text/css", "text/javascript", "application/javascript",
    "application/json", "application/json;charset=utf-8", "application/wasm", "image/svg+xml", "text/plain",
    "application/ld+json", "application/manifest+json", "text/markdown", "font/ttf", "application/xml",
])
def test_types_that_gain(gw, up, cookie, kind):
    answer = ask(gw, up, cookie, typed(kind))
    compressed(answer)
    assert answer.one("content-type") == kind


@pytest.mark.parametrize("kind", [
    "image/png", "image/jpeg", "video/mp4", "application/zip", "application/gzip", "application/octet-stream",
    "font/woff2", "text/event-stream", "text/event-stream; charset=utf-8", "multipart/byteranges; boundary=x", "",
    "nonsense", "text/html, text/html",
])
def test_types_that_do_not(gw, up, cookie, kind):
    answer = ask(gw, up, cookie, typed(kind))
    untouched(answer)
    assert "accept-encoding" not in vary(answer)


def test_no_type_at_all(gw, up, cookie):
    untouched(ask(gw, up, cookie, reply(TEXT)))


@pytest.mark.parametrize("size, gains", [(0, False), (1, False), (1023, False), (1024, True), (1025, True),
                                         (3 * MB, True)])
def test_sizes(gw, up, cookie, size, gains):
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    answer = ask(gw, up, cookie, typed("text/css", body))
    compressed(answer, body) if gains else untouched(answer, body)


def test_what_does_not_shrink_is_still_right(gw, up, cookie):
    body = rogue.random_body(300_000)
    answer = ask(gw, up, cookie, typed("text/javascript", body))
    assert (gunzip(answer.body) if answer.all("content-encoding") else answer.body) == body
    assert len(answer.body) < len(body) * 1.01 + 100


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nConnection: close\r\n\r\n",
], ids=["chunked", "until close"])
def test_framings_without_a_length(gw, cookie, head):
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(TEXT), TEXT) if b"chunked" in head else TEXT
    upstream = gw.upstream(after_request(head + body))
    compressed(gw.request(upstream.vmid, "/", GZIP, cookie=gw.launch(upstream.vmid)))


# --- who gets it ---

@pytest.mark.parametrize("accept, gets", [
    ("gzip", True), ("GZIP", True), ("deflate, gzip;q=1.0, *;q=0.5", True), ("gzip;q=0.5", True), ("*", True),
    ("br, gzip", True), ("x-gzip", None), ("gzip;q=0", False), ("gzip; q=0.000", False), ("identity", False),
    ("br", False), ("", False), ("*;q=0", False), ("gzip;q=0, *", False), ("identity;q=1, gzip;q=0.5", None),
    (None, False), ("gzipped", False), ("gzip;q=x", None),
])
def test_accept_encoding(gw, up, cookie, accept, gets):
    headers = FETCH if accept is None else FETCH | {"Accept-Encoding": accept}
    answer = ask(gw, up, cookie, typed("text/css"), headers)
    if gets is None:
        gets = bool(answer.all("content-encoding"))
    if gets:
        compressed(answer)
    else:
        untouched(answer)
        assert "accept-encoding" in vary(answer), "another request for it would get it compressed"


def test_the_container_still_hears_what_the_browser_takes(gw, up, cookie):
    ask(gw, up, cookie, typed("text/css"))
    assert up.last.get("accept-encoding") == "gzip, deflate, br"


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_navigations_from_other_sites_are_not_compressed(gw, up, cookie, site, kind):
    """BREACH: whoever chooses a part of the page and counts its bytes must not see how it compresses."""
    headers = NAVIGATION | {"Sec-Fetch-Site": site, "Accept-Encoding": "gzip"}
    untouched(ask(gw, up, cookie, typed(kind), headers))
    for own in ("same-origin", "none"):
        compressed(ask(gw, up, cookie, typed(kind), headers | {"Sec-Fetch-Site": own}))


def test_text_that_may_repeat_its_request_is_not_compressed(gw, up, cookie):
    untouched(ask(gw, up, cookie, typed("text/html"), target="/search?q=guess"))
    compressed(ask(gw, up, cookie, typed("text/javascript"), target="/app.js?v=3"))
    untouched(ask(gw, up, cookie, typed("application/json"), method="POST", body=b"q=guess"))


def test_a_program_with_a_token_of_its_own(gw, up):
    REPLY[0] = typed("application/json")
    compressed(gw.request(up.vmid, "/", {"Accept-Encoding": "gzip", "X-ZLH-Token": gw.token(up.vmid)}))


# --- what is left alone ---

@pytest.mark.parametrize("line", [
    "Content-Encoding: br", "Content-Encoding: gzip", "Content-Encoding: zstd", "Content-Encoding: x, y",
    "Content-Range: bytes 0-100/200", "Cache-Control: no-transform", "Cache-Control: public, No-Transform",
])
def test_what_the_container_forbids_or_did_itself(gw, up, cookie, line):
    answer = ask(gw, up, cookie, typed("text/css", TEXT, line))
    assert answer.body == TEXT and answer.one("content-length") == str(len(TEXT))
    name, value = line.split(": ")
    assert answer.all(name) == [value]


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-10"}, {"Range": "bytes=5-", "If-Range": '"x"'},
                                     {"Cache-Control": "no-transform"}])
def test_what_the_browser_asks_to_be_left_alone(gw, up, cookie, headers):
    untouched(ask(gw, up, cookie, typed("text/css"), GZIP | headers))


@pytest.mark.parametrize("status", ["206 Partial Content", "404 Not Found", "500 Oops", "201 Created"])
def test_other_statuses(gw, up, cookie, status):
    untouched(ask(gw, up, cookie, typed("text/css", TEXT, status=status)), status=int(status[:3]))


def test_head_tells_the_same_and_has_no_body(gw, up, cookie):
    REPLY[0] = b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 88000\r\n\r\n"
    with gw.client(up.vmid) as client:
        for _ in range(2):
            answer = client.request("HEAD", headers=GZIP, cookie=cookie)
            assert answer.status == 200 and not answer.body and not answer.all("content-encoding")
            assert "accept-encoding" in vary(answer)


def test_204_and_304(gw, up, cookie):
    for head in (b"HTTP/1.1 204 No Content\r\nContent-Type: text/css\r\n\r\n",
                 b"HTTP/1.1 304 Not Modified\r\nContent-Type: text/css\r\nETag: \"a\"\r\n\r\n"):
        answer = ask(gw, up, cookie, head)
        assert answer.status == int(head[9:12]) and not answer.body and not answer.all("content-encoding")


def test_the_gateways_own_pages_are_whole(gw):
    answer = gw.request(1101, "/", NAVIGATION | {"Accept-Encoding": "gzip"})
    body = gunzip(answer.body) if answer.all("content-encoding") else answer.body
    assert answer.status == 401 and b"</html>" in body


def test_it_can_be_switched_off(make_gateway):
    gw = make_gateway(ide={"compression": False})
    upstream = gw.upstream(typed("text/css"))
    answer = gw.request(upstream.vmid, "/", GZIP, cookie=gw.launch(upstream.vmid))
    untouched(answer)
    assert not answer.all("vary")


# --- fields ---

@pytest.mark.parametrize("before", ['"abc"', 'W/"abc"', '""'])
def test_a_strong_etag_becomes_weak(gw, up, cookie, before):
    answer = ask(gw, up, cookie, typed("text/css", TEXT, f"ETag: {before}"))
    compressed(answer)
    assert answer.one("etag").startswith('W/"')
    assert before.startswith('"') or answer.one("etag") == before, "a weak one is the container's own affair"
    assert ask(gw, up, cookie, typed("text/css", TEXT, f"ETag: {before}"), FETCH).one("etag") == before


@pytest.mark.parametrize("before", [["Vary: Cookie"], ["Vary: Accept-Encoding"], ["Vary: Cookie", "Vary: Origin"],
                                    ["Vary: *"]])
def test_vary_is_added_to_what_is_there(gw, up, cookie, before):
    answer = ask(gw, up, cookie, typed("text/css", TEXT, *before))
    assert gunzip(answer.body) == TEXT
    for line in before:
        assert line.split(": ")[1].lower() in vary(answer)
    assert "accept-encoding" in vary(answer) or "*" in vary(answer)


def test_accept_ranges_goes(gw, up, cookie):
    compressed(ask(gw, up, cookie, typed("text/css", TEXT, "Accept-Ranges: bytes")))


def test_trailers_and_interim_answers_survive(gw, cookie):
    upstream = gw.upstream(after_request(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/css\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (len(TEXT), TEXT)))
    answer = gw.request(upstream.vmid, "/", GZIP, cookie=gw.launch(upstream.vmid))
    assert [early.status for early in answer.interim] == [103]
    compressed(answer)


# --- streams ---

def test_each_piece_can_be_read_as_it_comes(gw, http):
    """A page that is sent in pieces appears in pieces: each is flushed, whole enough to inflate."""
    go = threading.Semaphore(0)
    pieces = [b"<p>piece %d</p>" % n * 50 for n in range(6)]

    def streams(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert go.acquire(timeout=10)
        connection.send(b"0\r\n\r\n")

    upstream = gw.upstream(streams)
    with gw.client(upstream.vmid, timeout=5) as client:
        stream = client.open(headers=GZIP, cookie=gw.launch(upstream.vmid))
        assert stream.head().one("content-encoding") == "gzip"
        machine, text = zlib.decompressobj(wbits=31), b""
        for n in range(len(pieces)):
            while text != b"".join(pieces[:n + 1]):  # a piece that is held back is a TimeoutError
                text += machine.decompress(body_bytes(stream, http))
            go.release()
        while not machine.eof:
            text += machine.decompress(body_bytes(stream, http))
    assert text == b"".join(pieces)


def body_bytes(stream, http: str) -> bytes:
    """The body's next bytes, whatever frames them."""
    if http == "h2":
        assert stream.buffer or stream._fill(), "ended early"
        data, stream.buffer = stream.buffer, b""
        return data
    size = int(stream.read_until(b"\r\n")[:-2], 16)
    data = stream.read_exactly(size)
    assert stream.read_exactly(2) == b"\r\n"
    return data


def test_a_truncated_answer_stays_truncated(gw):
    """The rest of the gzip stream must never be made up."""
    upstream = gw.upstream(after_request(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n" + TEXT[:50_000]))
    with gw.client(upstream.vmid) as client, pytest.raises(Closed) as closed:
        client.request(headers=GZIP, cookie=gw.launch(upstream.vmid))
    machine = zlib.decompressobj(wbits=31)
    machine.decompress(closed.value.got)
    assert not machine.eof


def test_a_large_answer_costs_no_memory(gw):
    block = bytes(range(256)) * 256

    def pours(connection):
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (64 * MB))
        for _ in range(1024):
            connection.send(block)

    upstream = gw.upstream(pours)
    cookie = gw.launch(upstream.vmid)

    def work():
        answer = gw.request(upstream.vmid, "/", GZIP, cookie=cookie)
        machine = zlib.decompressobj(wbits=31)
        assert len(machine.decompress(answer.body)) == 64 * MB and machine.eof

    flat(gw, 16 * MB, work)


def test_many_at_once_on_slow_lines(gw):
    """A hundred compressed answers that nobody reads: bounded memory for each."""
    upstream = gw.upstream(replies(typed("text/plain", rogue.random_body(2 * MB))))
    cookie = gw.launch(upstream.vmid)

    def work():
        clients = [gw.client(upstream.vmid, receive_buffer=8192) for _ in range(50)]
        streams = [client.open(headers=GZIP, cookie=cookie) for client in clients]
        for stream in streams:
            stream.head()
        for client in clients:
            client.close()

    flat(gw, 50 * 700 * 1024, work)


def test_many_answers_one_after_the_other_and_mixed(gw, up, cookie):
    """Compressing state is used again: nothing of one answer shows in the next."""
    with gw.client(up.vmid) as client:
        for n in range(30):
            body = b"%d " % n * (600 + 700 * n)
            REPLY[0] = typed("text/css" if n % 3 else "image/png", body)
            answer = client.request(headers=GZIP, cookie=cookie)
            assert (gunzip(answer.body) if n % 3 else answer.body) == body


@pytest.mark.parametrize("more", [
    {"Sec-Fetch-Site": "none", "Referer": "https://dev-1199.zlh.localhost/"},
    {"Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch", "Referer": "https://dev-1199.zlh.localhost/"},
    {"Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch"},
    {"Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch;prerender"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch"},
    {"Sec-Fetch-Site": "none", "Purpose": "prefetch"},
    {"Sec-Fetch-Site": "none", "X-Moz": "prefetch"},
    {"Sec-Fetch-Site": "none", "X-Purpose": "preview"},
    {"Sec-Fetch-Site": "same-origin", "Referer": "https://evil.example/"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": None, "Referer": "https://dev-1199.zlh.localhost/"},
    {"Sec-Fetch-Site": None, "Origin": "https://dev-1199.zlh.localhost"},
], ids=lambda more: " ".join(f"{name}={value}" for name, value in more.items()))
@pytest.mark.parametrize("kind", ["text/html", "text/javascript"])
def test_not_for_what_another_site_may_have_caused(gw, up, cookie, kind, more):
    """Speculation rules of a sibling make the browser ask with `Sec-Fetch-Site: none`, as often as the sibling likes."""
    headers = {name: value for name, value in (NAVIGATION | {"Accept-Encoding": "gzip"} | more).items()
               if value is not None}
    untouched(ask(gw, up, cookie, typed(kind), headers))


def test_the_own_referer_changes_nothing(gw, up, cookie):
    compressed(ask(gw, up, cookie, typed("text/html"), GZIP | {"Referer": gw.origin(up.vmid) + "/page?x"}))
