"""Compression changes an answer's bytes, and so its entity tag. A client may hand that back in a condition, and the
container understands it; a container's own weak tags are its own affair. Over both protocols."""

import re
import shutil
import subprocess

import pytest

from harness import over_both
from harness.gateway import FETCH, wait_for
from harness.upstreams import answer as reply
from harness.upstreams import replies

GATEWAY = {}
GZIP = FETCH | {"Accept-Encoding": "gzip"}
TEXT = b"All work and no play makes Jack a dull boy. " * 100
pytestmark = over_both


def members(value: str) -> list[str]:
    return re.findall(r'(?:W/)?"[^"]*"|\*', value)


def strict(tag: str):
    """A container that has this tag and keeps to RFC 9110 §13.1: strongly for If-Match, weakly for If-None-Match."""
    def script(request):
        opaque = tag.removeprefix("W/")
        matches, none = request.all("if-match"), request.all("if-none-match")
        if matches and "*" not in members(", ".join(matches)):
            if tag.startswith("W/") or tag not in members(", ".join(matches)):
                return reply(b"", "412 Precondition Failed", [f"ETag: {tag}"])
        if none and (none == ["*"] or opaque in [one.removeprefix("W/") for one in members(", ".join(none))]):
            return f"HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n".encode()
        if request.method == "PUT":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return reply(TEXT, headers=["Content-Type: text/css", f"ETag: {tag}"])

    return replies(script)


def literal(tag: str):
    """A container that compares text, as the server of VS Code does."""
    def script(request):
        if request.get("if-none-match") == tag:
            return f"HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n".encode()
        return reply(TEXT, headers=["Content-Type: text/css", f"ETag: {tag}"])

    return replies(script)


class Client:
    def __init__(self, gw, script):
        self.gw, self.upstream = gw, gw.upstream(script)
        self.cookie = gw.launch(self.upstream.vmid)

    def ask(self, headers: dict | list = (), method: str = "GET", body: bytes | None = None):
        fields = [*GZIP.items(), *(headers.items() if isinstance(headers, dict) else headers)]
        return self.gw.request(self.upstream.vmid, "/x.css", fields, method=method, body=body, cookie=self.cookie)

    def tag(self) -> str:
        """Of the compressed answer, as the client gets it."""
        answer = self.ask()
        assert answer.one("content-encoding") == "gzip"
        return answer.one("etag")


@pytest.mark.parametrize("tag", ['"v1"', '""', 'W/"v1"', '"a-b-c"', '"v1-gzip"', '"W/x"', '"x,y"'])
@pytest.mark.parametrize("container", [strict, literal])
def test_what_was_cached_compressed_is_still_fresh(gw, tag, container):
    client = Client(gw, container(tag))
    got = client.tag()
    assert got.startswith('W/"'), "the bytes are not those that the container's tag stands for"
    for _ in range(2):
        answer = client.ask({"If-None-Match": got})
        assert answer.status == 304
        assert answer.one("etag") == got, "the tag by which the client knows what it has"
        assert answer.all("vary") or tag.startswith("W/")


@pytest.mark.parametrize("tag", ['"v1"', '"v1-gzip"'])
@pytest.mark.parametrize("shape", ['{}', '"v0", {}', '{}, "v0"', 'W/"v0" , {} ,"v2"', '{},{}', '{}"v0'])
def test_lists(gw, tag, shape):
    client = Client(gw, strict(tag))
    value = shape.format(*[client.tag()] * 2)
    answer = client.ask({"If-None-Match": value})
    assert answer.status == 304
    assert client.upstream.last.get("if-none-match") == shape.format(tag, tag), "the rest byte for byte"


def test_several_fields(gw):
    client = Client(gw, strict('"v1"'))
    tag = client.tag()
    assert client.ask([("If-None-Match", '"v0"'), ("if-none-match", tag)]).status == 304
    assert client.upstream.last.all("if-none-match") == ['"v0"', '"v1"']


def test_a_write_on_the_condition_that_nothing_changed_succeeds(gw):
    client = Client(gw, strict('"v1"'))
    tag = client.tag()
    for value in (tag, f'"v0", {tag}', tag.removeprefix("W/"), "*", '"v1"'):
        assert client.ask({"If-Match": value}, method="PUT", body=b"new").status == 204, value
    for value in ('"v0"', 'W/"v1"', 'W/"v0-zlhgz"', 'W/"v1x-zlhgz"', '"v1'):
        assert client.ask({"If-Match": value}, method="PUT", body=b"new").status == 412, value


@pytest.mark.parametrize("name", ["If-None-Match", "If-Match"])
@pytest.mark.parametrize("value", ["*", '"v1"', 'W/"v1"', '"a", W/"b"', "v1", '"', 'W/"', '-zlhgz"', '"-zlhgz', "-zlhgz",
                                   '"-zlhgzx"', '"a-zlhg"', ""])
def test_what_we_did_not_make_passes_untouched(gw, name, value):
    client = Client(gw, replies(reply(headers=['ETag: "v9"'])))
    client.ask({name: value})
    assert client.upstream.last.get(name) == value


def test_a_304_of_a_tag_that_was_never_compressed_stays(gw):
    client = Client(gw, strict('"v1"'))
    answer = client.ask({"If-None-Match": '"v1"'})
    assert answer.status == 304 and answer.one("etag") == '"v1"'
    other = Client(gw, replies(b'HTTP/1.1 304 Not Modified\r\nETag: "v2"\r\n\r\n'))
    answer = other.ask({"If-None-Match": client.tag() + ', "v2"'})
    assert answer.status == 304 and answer.one("etag") == '"v2"'


def test_a_range_is_never_joined_to_compressed_bytes(gw):
    client = Client(gw, strict('"v1"'))
    tag = client.tag()
    client.ask({"If-Range": tag, "Range": "bytes=100-"})
    assert client.upstream.last.get("if-range") == tag, "weak, and of no content that the container has"


def test_the_name_in_a_connection_field_is_not_a_way_around(gw):
    client = Client(gw, strict('"v1"'))
    tag = client.tag()
    if client.gw.protocol == "h2":
        pytest.skip("HTTP/2 has no Connection field")
    client.ask({"If-None-Match": tag, "Connection": "close, If-None-Match"})
    assert client.upstream.last.get("if-none-match") is None


@pytest.mark.skipif(not shutil.which("lighttpd"), reason="needs Debian's lighttpd")
def test_lighttpd(gw, tmp_path):
    """A server of others', whose tags are strong."""
    vmid = gw.claim_vmid()
    route = gw.routes["ide"][vmid]
    (tmp_path / "x.css").write_bytes(TEXT)
    config = tmp_path / "lighttpd.conf"
    config.write_text(f'server.document-root = "{tmp_path}"\nserver.bind = "{route["address"]}"\n'
                      f'server.port = {route["port"]}\nmimetype.assign = (".css" => "text/css")\n')
    server = subprocess.Popen([shutil.which("lighttpd"), "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        cookie = gw.launch(vmid)

        def ask(**headers):
            return gw.request(vmid, "/x.css", GZIP | {name.replace("_", "-"): value for name, value in headers.items()},
                              cookie=cookie)

        wait_for(lambda: ask().status == 200)
        tag = ask().one("etag")
        answer = ask(If_None_Match=tag)
        assert (answer.status, answer.one("etag")) == (304, tag)
    finally:
        server.terminate()
        server.wait()
