"""Launch tokens, the session cookie and the endpoints under /.zlh/."""

import json
import re
import time
import urllib.parse
import uuid

import pytest

from harness import over_both, tokens, websocket
from harness.gateway import FETCH, NAVIGATION, session_cookie
from harness.tokens import SigningKey, b64, claims, compact

KEYS = [SigningKey("EdDSA"), SigningKey("ES256"), SigningKey("RS256"), SigningKey("HS256")]
GATEWAY = {}


def parts(set_cookie: str) -> tuple[str, set[str]]:
    pair, *attributes = [part.strip() for part in set_cookie.split(";")]
    return pair, set(attributes)


def own_headers(answer):
    """What every answer of the gateway's own carries."""
    assert re.fullmatch(r"[0-9a-f]{32}", answer.one("x-request-id")), answer
    assert answer.one("cache-control") == "no-store", answer


# --- the three doors ---

@over_both
def test_get_launch_sets_the_cookie_and_redirects(gw):
    answer = gw.redeem(1101, gw.token(1101), "/a?b=c")
    assert answer.status == 303
    assert answer.one("location") == "/a?b=c"
    assert answer.one("referrer-policy") == "no-referrer"
    own_headers(answer)
    session = parts(answer.cookies["__Host-zlh_s"])
    assert re.fullmatch(r"__Host-zlh_s=v1\.[\w-]+\.[\w-]+", session[0])
    age = next(a for a in session[1] if a.startswith("Max-Age="))
    assert session[1] == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", age}
    assert 12 * 3600 - 30 <= int(age[8:]) <= 12 * 3600


@over_both
def test_post_launch_from_any_origin(gw):
    form = urllib.parse.urlencode({"token": gw.token(1101), "next": "/work?x=1"}).encode()
    answer = gw.request(1101, "/.zlh/launch", NAVIGATION | {
        "Sec-Fetch-Site": "cross-site", "Origin": "https://portal.example",
        "Content-Type": "application/x-www-form-urlencoded"}, method="POST", body=form)
    assert (answer.status, answer.one("location")) == (303, "/work?x=1")
    assert answer.one("referrer-policy") == "no-referrer"
    assert gw.request(1101, "/.zlh/session", cookie=session_cookie(answer)).status == 200


def test_post_launch_in_chunks(gw):
    form = urllib.parse.urlencode({"token": gw.token(1101), "next": "/"}).encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(form[i:i + 7]), form[i:i + 7]) for i in range(0, len(form), 7))
    answer = gw.request(1101, "/.zlh/launch", NAVIGATION | {
        "Content-Type": "application/x-www-form-urlencoded", "Transfer-Encoding": "chunked"},
        method="POST", body=body + b"0\r\n\r\n")
    assert answer.status == 303


@over_both
def test_launch_form_over_8k_is_413(gw):
    body = b"token=" + b"x" * 9000
    answer = gw.request(1101, "/.zlh/launch", {"Content-Type": "application/x-www-form-urlencoded"},
                        method="POST", body=body)
    assert answer.status == 413


@over_both
@pytest.mark.parametrize("before, after", [
    ("/?token={}", "/"),
    ("/?token={}&folder=/home/me", "/?folder=/home/me"),
    ("/?a=%2f%zz&token={}&b=c+d%20&&e", "/?a=%2f%zz&b=c+d%20&&e"),
    ("/?folder=/x&token={}", "/?folder=/x"),
])
def test_root_token_is_a_launch_and_keeps_the_rest_byte_for_byte(gw, before, after):
    answer = gw.request(1101, before.format(gw.token(1101)), NAVIGATION)
    assert (answer.status, answer.one("location")) == (303, after)
    assert "__Host-zlh_s" in answer.cookies


@over_both
def test_root_token_launches_even_with_a_session(gw):
    cookie = gw.launch(1101, "alice")
    answer = gw.request(1101, "/?token=" + gw.token(1101, "bob"), NAVIGATION, cookie=cookie)
    assert answer.status == 303
    session = gw.request(1101, "/.zlh/session", cookie=session_cookie(answer)).json()
    assert session["user"] == "bob"


@over_both
def test_any_other_token_parameter_is_the_containers_own(gw):
    upstream = gw.upstream()
    cookie = gw.launch(upstream.vmid)
    for target in ["/?token=abc", "/?token=a.b", "/?token=a.b.c.d", "/x?token=a.b.c", "/?token="]:
        assert gw.request(upstream.vmid, target, FETCH, cookie=cookie).status == 200
        assert upstream.last.target == target
        assert gw.request(upstream.vmid, target, FETCH).status == 401


@over_both
def test_root_token_of_three_parts_that_is_no_token_is_refused(gw):
    assert gw.request(1101, "/?token=aaaa.bbbb.cccc", NAVIGATION).status == 403


# --- spending ---

@over_both
def test_replay_with_its_live_session_goes_on_and_otherwise_is_403(gw):
    token = gw.token(1101)
    first = gw.redeem(1101, token, "/next")
    again = gw.redeem(1101, token, "/next", cookie=session_cookie(first))
    assert (again.status, again.one("location")) == (303, "/next")
    refused = gw.redeem(1101, token, "/next")
    assert refused.status == 403
    assert "__Host-zlh_s" not in refused.cookies
    assert "already" in refused.text.lower()
    assert gw.redeem(1101, token, cookie=gw.launch(1101)).status == 403


@over_both
@pytest.mark.parametrize("header", [{"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch"},
                                    {"Sec-Purpose": "prefetch;prerender"}])
def test_prefetch_spends_nothing(gw, header):
    token = gw.token(1101)
    answer = gw.redeem(1101, token, headers=NAVIGATION | header)
    assert answer.status == 503
    assert not answer.cookies
    assert gw.redeem(1101, token).status == 303


NAVIGATED = NAVIGATION | {"Sec-Fetch-Site": "cross-site"}


def both_links(token: str) -> list[str]:
    return [f"/.zlh/launch?token={token}&next=/x", f"/?token={token}"]


@over_both
@pytest.mark.parametrize("how", [
    *[{"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Sec-Fetch-Site": site, "Accept": "text/html, */*"}
      for site in ("cross-site", "same-site")
      for mode, dest in (("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("no-cors", "empty"),
                         ("no-cors", "video"), ("cors", "font"), ("no-cors", "worker"))],
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Accept": "*/*"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin", "Accept": "image/*"},
], ids=lambda how: "/".join(how.values()))
def test_what_a_page_loads_as_anything_but_a_document_launches_nothing(gw, how):
    token = gw.token(1101)
    for link in both_links(token):
        answer = gw.request(1101, link, how)
        assert answer.status == 403 and not answer.cookies, answer
        own_headers(answer)
    form = f"token={token}".encode()
    answer = gw.request(1101, "/.zlh/launch", how | {"Content-Type": "application/x-www-form-urlencoded"},
                        method="POST", body=form)
    assert answer.status == 403 and not answer.cookies
    assert gw.redeem(1101, token).status == 303, "nothing was spent"


@over_both
def test_a_websocket_launches_nothing(gw):
    token = gw.token(1101)
    for link in both_links(token):
        for origin in ("own", "https://evil.example", None):
            with gw.client(1101) as raw:
                answer = websocket.upgrade(raw, link, origin=origin)
                assert answer.status == 403 and not answer.cookies
    assert gw.redeem(1101, token).status == 303


@over_both
@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_a_frame_gets_a_page_that_offers_a_tab(gw, dest, site):
    """Its cookie would not be kept there."""
    token = gw.token(1101)
    framed = NAVIGATION | {"Sec-Fetch-Dest": dest, "Sec-Fetch-Site": site}
    for link in both_links(token):
        answer = gw.request(1101, link, framed)
        assert answer.status == 403 and not answer.cookies, answer
        assert answer.one("content-type") == "text/html; charset=utf-8"
        assert re.search('<a href="" target="_blank"', answer.text) and token not in answer.text
        assert answer.one("referrer-policy") == "no-referrer"
        assert not answer.all("content-security-policy") and not answer.all("x-frame-options")
        own_headers(answer)
    assert gw.redeem(1101, token).status == 303, "nothing was spent"


@over_both
def test_a_form_posted_into_a_frame_is_offered_again(gw):
    token = gw.token(1101)
    form = urllib.parse.urlencode({"token": token, "next": '/a?"><script>&b'}).encode()
    answer = gw.request(1101, "/.zlh/launch", NAVIGATED | {
        "Sec-Fetch-Dest": "iframe", "Content-Type": "application/x-www-form-urlencoded"}, method="POST", body=form)
    assert answer.status == 403 and not answer.cookies
    assert '<form method="post" action="/.zlh/launch" target="_blank"' in answer.text
    assert f'name="token" value="{token}"' in answer.text
    assert 'name="next" value="/a?&quot;&gt;&lt;script&gt;&amp;b"' in answer.text
    empty = gw.request(1101, "/.zlh/launch", NAVIGATED | {"Sec-Fetch-Dest": "iframe"}, method="POST", body=b"")
    assert empty.status == 403
    assert gw.redeem(1101, token).status == 303, "nothing was spent"


@over_both
@pytest.mark.parametrize("how", [
    NAVIGATED, NAVIGATED | {"Sec-Fetch-Dest": "empty"}, {"Accept": "text/html"}, {},
    {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty",
     "Sec-Fetch-Site": "same-origin"},
], ids=["link", "Chromium's worker", "old browser", "program", "Firefox's worker"])
def test_what_still_launches(gw, how):
    for at in range(2):
        for referer in ({}, {"Referer": "https://portal.example/"}):
            assert gw.request(1101, both_links(gw.token(1101))[at], how | referer).status == 303
    form = f"token={gw.token(1101)}".encode()
    assert gw.request(1101, "/.zlh/launch", how, method="POST", body=form).status == 303


@over_both
def test_head_says_what_get_would_and_spends_nothing(gw):
    token = gw.token(1101)
    for headers in (NAVIGATION, {}):
        for link, location in zip(both_links(token), ("/x", "/")):
            answer = gw.request(1101, link, headers, method="HEAD")
            assert (answer.status, answer.one("location")) == (303, location)
            assert not answer.cookies and not answer.all("clear-site-data")
            own_headers(answer)
    first = gw.redeem(1101, token)
    assert first.status == 303
    second = gw.request(1101, both_links(token)[0], NAVIGATION, method="HEAD")
    assert second.status == 303 and not second.cookies, "a second click would get in"
    assert gw.request(1101, "/.zlh/session", cookie=session_cookie(first)).status == 200
    for link in both_links(token):
        assert gw.request(1101, link, NAVIGATION, method="HEAD").status == 403
        again = gw.request(1101, link, NAVIGATION, method="HEAD", cookie=session_cookie(first))
        assert again.status == 303 and not again.cookies
    for bad in (gw.token(1102), gw.token(1101, exp=int(time.time()) - 100), "a.b.c"):
        assert gw.request(1101, f"/?token={bad}", method="HEAD").status == 403
    assert gw.request(1101, f"/?token={gw.token(1101, gen='later')}", method="HEAD").status == 404


@over_both
def test_head_of_a_launch_keeps_the_session_there_is(gw):
    cookie = gw.launch(1101, "alice")
    assert gw.request(1101, f"/?token={gw.token(1101, 'bob')}", method="HEAD", cookie=cookie).status == 303
    assert gw.request(1101, "/.zlh/session", cookie=cookie).json()["user"] == "alice"


@over_both
@pytest.mark.parametrize("header", [{"X-Moz": "prefetch"}, {"X-Purpose": "preview"}, {"Sec-Purpose": "something-new"}])
def test_other_ways_to_fetch_ahead_spend_nothing_either(gw, header):
    token = gw.token(1101)
    assert gw.redeem(1101, token, headers=NAVIGATION | header).status == 503
    assert gw.redeem(1101, token).status == 303


@over_both
def test_waits_for_a_route_that_is_not_there_yet(gw, http):
    vmid = 2001 if http == "http/1.1" else 2002
    token = gw.token(vmid)
    early = gw.redeem(vmid, token)
    assert early.status == 404
    assert re.search(r"refresh|reload", early.text + str(early.headers), re.I), "the page tries again by itself"
    gw.write_routes(lambda routes: routes["ide"].update({vmid: {"address": f"127.200.0.{vmid - 2000}", "generation": "x"}}))
    assert gw.redeem(vmid, token).status == 303


@over_both
def test_waits_for_the_generation_it_was_made_for(gw):
    vmid = gw.claim_vmid()
    token = gw.token(vmid, gen="next-one")
    assert gw.redeem(vmid, token).status == 404
    gw.write_routes(lambda routes: routes["ide"][vmid].update(generation="next-one"))
    assert gw.redeem(vmid, token).status == 303


# --- next ---

@over_both
@pytest.mark.parametrize("wanted, got", [
    ("/", "/"), ("/a/b?c=d&e", "/a/b?c=d&e"), ("//evil.example/", "/"), ("/\\evil.example", "/"),
    ("https://evil.example/", "/"), ("evil", "/"), ("", "/"), ("/a\r\nSet-Cookie: x=1", "/"), ("/a\tb", "/"),
    ("/\tevil", "/"), ("\\/evil", "/"), ("javascript:alert(1)", "/"), ("/a\x00b", "/"), (" /a", "/"),
    ("/a//b", "/a//b"), ("/a\x7fb", "/"),
])
def test_next_stays_on_this_host(gw, wanted, got):
    answer = gw.redeem(1101, gw.token(1101), wanted)
    assert (answer.status, answer.one("location")) == (303, got)
    assert not answer.all("x")


@over_both
def test_next_of_nonsense_encodings_is_harmless(gw):
    for encoded in ["%", "%2", "%zz", "%2F%2Fevil.example", "%5c", "%2f%5cevil", "%0d%0a", "%C3%A9", "/%C3%A9"]:
        answer = gw.request(1101, f"/.zlh/launch?token={gw.token(1101)}&next={encoded}", NAVIGATION)
        assert answer.status == 303
        location = answer.one("location")
        assert location.startswith("/") and location[1:2] not in ("/", "\\"), location
        assert location.isascii() and location.isprintable(), location


# --- tokens ---

@over_both
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_every_algorithm_as_an_independent_library_signs_it(gw, key):
    from joserfc import jwt

    token = jwt.encode({"alg": key.algorithm, "kid": key.kid}, claims(1101), key.joserfc(),
                       algorithms=[key.algorithm])
    assert gw.redeem(1101, token).status == 303


def test_audience_may_be_a_list_and_skew_is_forgiven(gw):
    now = int(time.time())
    assert gw.redeem(1101, gw.token(1101, aud=["other", tokens.AUDIENCE])).status == 303
    assert gw.redeem(1101, gw.token(1101, iat=now + 20, exp=now + 80)).status == 303
    assert gw.redeem(1101, gw.token(1101, nbf=now + 20)).status == 303
    assert gw.redeem(1101, gw.token(1101, gen="g1101")).status == 303
    short = gw.token(1101, iat=now, exp=now + 1)
    time.sleep(2.1)
    assert gw.redeem(1101, short).status == 303


NOW = int(time.time())
BAD_CLAIMS = {
    "wrong vmid": {"vmid": 1102}, "vmid as text": {"vmid": "1101"}, "vmid as float": {"vmid": 1101.5},
    "vmid true": {"vmid": True}, "vmid huge": {"vmid": 10 ** 30}, "negative vmid": {"vmid": -1101},
    "expired": {"iat": NOW - 200, "exp": NOW - 100}, "far too long": {"exp": NOW + 3600},
    "from the future": {"iat": NOW + 3000, "exp": NOW + 3060}, "not yet": {"nbf": NOW + 3000},
    "exp before iat": {"iat": NOW, "exp": NOW - 1000}, "exp as text": {"exp": str(NOW + 60)},
    "exp huge": {"exp": 1e300}, "other issuer": {"iss": "someone"}, "other audience": {"aud": "someone"},
    "audience list without us": {"aud": ["a", "b"]}, "audience number": {"aud": 1},
    "empty jti": {"jti": ""}, "jti number": {"jti": 1}, "sub number": {"sub": 1},
    **{f"no {name}": {name: None} for name in ("iss", "aud", "sub", "vmid", "jti", "iat", "exp")},
}


@over_both
@pytest.mark.parametrize("change", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_bad_claims_are_refused(gw, change):
    answer = gw.redeem(1101, gw.token(1101, **change))
    assert answer.status == 403, answer
    assert not answer.cookies.get("__Host-zlh_s")
    own_headers(answer)


@over_both
@pytest.mark.parametrize("reason, change", [
    ("expired", {"iat": NOW - 200, "exp": NOW - 100}), ("container", {"vmid": 1102})])
def test_the_page_says_why(gw, reason, change):
    text = gw.redeem(1101, gw.token(1101, **change)).text.lower()
    assert reason in text


def forgeries() -> dict[str, str]:
    """Tokens that a careless verifier takes."""
    good, es, rs, hs = KEYS
    body = lambda: claims(1101)  # noqa: E731
    text = lambda: json.dumps(body())  # noqa: E731
    stranger = SigningKey("EdDSA", kid=good.kid)
    confused = SigningKey("HS256", kid=good.kid)
    confused.private = good.public_raw()
    pem_confused = SigningKey("HS256", kid=rs.kid)
    from cryptography.hazmat.primitives import serialization
    pem_confused.private = rs.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    valid = compact(good, body())
    head, payload, signature = valid.split(".")
    es_head, es_payload, _ = compact(es, body()).split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return {
        "other key, same kid": compact(stranger, body()),
        "none": f'{b64(json.dumps({"alg": "none", "kid": good.kid}).encode())}.{b64(text().encode())}.',
        "None with signature": compact(good, body(), {"alg": "None", "kid": good.kid}),
        "HS256 with the Ed25519 public key": compact(confused, body()),
        "HS256 with the RSA public PEM": compact(pem_confused, body()),
        "algorithm of another key": compact(good, body(), {"alg": "ES256", "kid": good.kid}),
        "no alg": compact(good, body(), {"kid": good.kid}),
        "no kid": compact(good, body(), {"alg": "EdDSA"}),
        "unknown kid": compact(good, body(), {"alg": "EdDSA", "kid": "nobody"}),
        "kid path": compact(good, body(), {"alg": "EdDSA", "kid": "../../keys.jwks.json"}),
        "kid number": compact(good, body(), {"alg": "EdDSA", "kid": 1}),
        "crit": compact(good, body(), {"alg": "EdDSA", "kid": good.kid, "crit": ["exp"], "exp": 1}),
        "jku": compact(good, body(), {"alg": "EdDSA", "kid": good.kid, "jku": "https://evil.example/"}),
        "x5u": compact(good, body(), {"alg": "EdDSA", "kid": good.kid, "x5u": "https://evil.example/"}),
        "jwk": compact(stranger, body(), {"alg": "EdDSA", "kid": good.kid, "jwk": stranger.jwk()}),
        "duplicate claim": compact(good, (text()[:-1] + ', "vmid": 1101}').encode()),
        "duplicate header": compact(good, body(), f'{{"alg":"EdDSA","alg":"EdDSA","kid":"{good.kid}"}}'.encode()),
        "duplicate by escape": compact(good, (text()[:-1] + ', "\\u0076mid": 1101}').encode()),
        "deep": compact(good, body() | {"x": [[[[[1]]]]]}),
        "trailing garbage": compact(good, (text() + "x").encode()),
        "two objects": compact(good, (text() + text()).encode()),
        "array payload": compact(good, ("[" + text() + "]").encode()),
        "not UTF-8": compact(good, text().encode().replace(b"alice", b"al\xff\xfee")),
        "byte order mark": compact(good, b"\xef\xbb\xbf" + text().encode()),
        "padding": valid + "=",
        "non-canonical last character": valid[:-1] + last[last.index(valid[-1]) ^ 1],
        "standard alphabet": f"{head}.{payload}.{signature[:-4]}+/+/",
        "line feed inside": f"{head}.{payload}.%0A{signature}",
        "empty signature": f"{head}.{payload}.",
        "four parts": f"{valid}.{signature}",
        "psychic signature": f"{es_head}.{es_payload}.{b64(bytes(64))}",
        "ES256 as DER": f"{es_head}.{es_payload}."
        + b64(es.private.sign(f"{es_head}.{es_payload}".encode(), _ecdsa())),
        "over 2 KiB": compact(good, body() | {"x": "y" * 2000}),
        "empty": "", "dots": "..", "one part": head,
    }


def _ecdsa():
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())


@over_both
@pytest.mark.parametrize("name", forgeries().keys())
def test_forgery_is_refused_without_a_hint(gw, name):
    answer = gw.redeem(1101, forgeries()[name])
    assert answer.status in (400, 403) if name == "empty" else answer.status == 403, answer
    assert not answer.cookies
    visible = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", answer.text, flags=re.S).lower()
    for hint in ("signature", "kid", "algorithm", "eddsa", "base64", "json", "claim"):
        assert not re.search(rf"\b{hint}\b", visible), (hint, visible)


# --- pages ---

@over_both
def test_navigation_gets_html_and_all_else_json(gw):
    page = gw.request(1101, "/", NAVIGATION)
    assert page.status == 401
    assert page.one("content-type").startswith("text/html")
    assert page.one("www-authenticate") == "ZLH"
    own_headers(page)
    assert page.one("x-request-id") in page.text, "the page shows the request id"
    assert "prefers-color-scheme" in page.text and "viewport" in page.text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page.text), "no external asset"
    for headers in (FETCH, {"Accept": "*/*"}, {}, {"Accept": "application/json"}):
        answer = gw.request(1101, "/", headers)
        assert answer.status == 401
        assert answer.one("content-type").startswith("application/json")
        body = answer.json()
        assert body.keys() == {"error", "message", "request_id"}
        assert body["error"] == "unauthorized" and body["request_id"] == answer.one("x-request-id")
        assert answer.one("www-authenticate") == "ZLH"
        own_headers(answer)
    assert gw.request(1101, "/", {"Accept": "text/html"}).one("content-type").startswith("text/html")
    assert gw.request(1101, "/", {"Accept": "text/html", "Sec-Fetch-Dest": "image"}).json()["error"] == "unauthorized"
    posted = gw.request(1101, "/", NAVIGATION, method="POST", body=b"")
    assert posted.status == 401


@over_both
def test_head_of_a_page_has_no_body(gw):
    with gw.client(1101) as raw:
        answer = raw.request("HEAD", "/", NAVIGATION)
        assert answer.status == 401
        assert raw.request("GET", "/", NAVIGATION).status == 401, "and the connection goes on"


@over_both
def test_unknown_and_known_vmids_answer_alike(gw):
    def shape(vmid):
        answer = gw.request(vmid, "/", FETCH)
        drop = {"x-request-id", "date"}
        return answer.status, [(k, v) for k, v in answer.headers if k.lower() not in drop], \
            {k: v for k, v in answer.json().items() if k != "request_id"}

    assert shape(1101) == shape(987654)


@over_both
def test_login_url_gets_navigations_only_with_next_and_reason(make_gateway):
    gw = make_gateway(ide={"login_url": "https://portal.example/s/{vmid}?next={next}&why={reason}"})
    answer = gw.request(1101, "/a b?c=d&e".replace(" ", "%20"), NAVIGATION)
    assert answer.status == 303
    location = answer.one("location")
    assert location.startswith("https://portal.example/s/1101?next=")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
    assert query == {"next": ["/a%20b?c=d&e"], "why": ["none"]}
    assert gw.request(1101, "/", FETCH).status == 401
    assert gw.request(1101, "/", NAVIGATION, method="POST", body=b"").status == 401
    refetched = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty",
                 "Sec-Fetch-Site": "same-origin"}
    assert gw.request(1101, "/", refetched).status == 303, "a navigation that Firefox's service worker fetched again"
    assert gw.request(1101, "/.zlh/session", NAVIGATION).status == 401


@over_both
def test_three_login_redirects_in_a_row_become_a_page_about_cookies(make_gateway):
    gw = make_gateway(ide={"login_url": "https://portal.example/{vmid}"})
    statuses = [gw.request(1101, "/", NAVIGATION).status for _ in range(4)]
    assert statuses[0] == 303 and statuses[-1] == 401, statuses
    assert statuses in ([303, 303, 401, 401], [303, 303, 303, 401])
    assert "cookie" in gw.request(1101, "/", NAVIGATION).text.lower()
    assert gw.request(1102, "/", NAVIGATION).status == 303, "another vmid counts for itself"


# --- generations ---

@over_both
def test_first_launch_of_a_generation_clears_the_former_tenants_storage(gw):
    vmid = gw.claim_vmid()

    def launch(mark):
        answer = gw.redeem(vmid, gw.token(vmid), headers=NAVIGATION | ({"Cookie": mark} if mark else {}))
        assert answer.status == 303
        return answer

    first = launch(None)
    assert first.one("clear-site-data") == '"cache", "storage"'
    pair, attributes = parts(first.cookies["__Host-zlh_g"])
    assert "Max-Age=31536000" in attributes and {"Secure", "Path=/"} <= attributes
    assert f"g{vmid}" not in pair
    assert not launch(pair).all("clear-site-data")
    gw.write_routes(lambda routes: routes["ide"][vmid].update(generation="another"))
    changed = launch(pair)
    assert changed.one("clear-site-data") == '"cache", "storage"'
    assert parts(changed.cookies["__Host-zlh_g"])[0] != pair


# --- sessions ---

@over_both
def test_session_endpoint(gw):
    begin, end = int(time.time()), int(time.time()) + 4000
    cookie = gw.launch(1101, "dora", sid="session-of-dora", sabs=end)
    body = gw.request(1101, "/.zlh/session", FETCH, cookie=cookie).json()
    assert body.keys() == {"vmid", "user", "session", "issued", "expires", "idle_expires"}
    assert (body["vmid"], body["user"], body["session"], body["expires"]) == (1101, "dora", "session-of-dora", end)
    assert abs(body["issued"] - begin) <= 2
    assert 0 < body["idle_expires"] <= end
    assert gw.request(1101, "/.zlh/session", FETCH).status == 401


@over_both
def test_random_sids_differ(gw):
    sids = {gw.request(1101, "/.zlh/session", cookie=gw.launch(1101)).json()["session"] for _ in range(5)}
    assert len(sids) == 5


def test_session_ends_at_its_absolute_end(gw):
    cookie = gw.launch(1101, sabs=int(time.time()) + 2)
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 200
    time.sleep(2.5)
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 401


def test_session_ends_when_idle(make_gateway):
    gw = make_gateway(ide={"session": {"absolute": "1h", "idle": "2s"}})
    gw.upstream(vmid=1101)
    cookie = gw.launch(1101)
    for _ in range(3):
        time.sleep(1)
        assert gw.request(1101, "/", cookie=cookie).status == 200, "activity keeps it"
    time.sleep(3.2)
    assert gw.request(1101, "/", cookie=cookie).status == 401


@over_both
def test_logout(gw):
    cookie = gw.launch(1101)
    answer = gw.request(1101, "/.zlh/logout", FETCH | {"Origin": gw.origin(1101)}, method="POST", body=b"",
                        cookie=cookie)
    assert answer.status == 204
    assert "Max-Age=0" in answer.cookies["__Host-zlh_s"]
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 401
    assert gw.request(1101, "/", cookie=cookie).status == 401


@over_both
def test_logout_by_another_site_is_refused(gw):
    cookie = gw.launch(1101)
    for headers in ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
                    {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        assert gw.request(1101, "/.zlh/logout", headers, method="POST", body=b"", cookie=cookie).status == 403
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 200


@over_both
@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/.zlh/nothing", 404, None), ("GET", "/.zlh/", 404, None), ("GET", "/.zlh/launch/x", 404, None),
    ("PUT", "/.zlh/launch", 405, {"GET", "POST"}), ("GET", "/.zlh/logout", 405, {"POST"}),
    ("POST", "/.zlh/session", 405, {"GET"}), ("DELETE", "/.zlh/session", 405, {"GET"}),
])
def test_unknown_paths_and_methods(gw, method, path, status, allow):
    cookie = gw.launch(1101)
    answer = gw.request(1101, path, FETCH, method=method, body=b"" if method != "GET" else None, cookie=cookie)
    assert answer.status == status
    assert answer.json()["error"] == {404: "not_found", 405: "method_not_allowed"}[status]
    if allow:
        assert allow <= {name.strip() for name in answer.one("allow").split(",")}


@over_both
def test_reserved_paths_never_reach_the_container(gw):
    upstream = gw.upstream()
    cookie = gw.launch(upstream.vmid)
    for path in ("/.zlh/x", "/.zlh/", "/.zlh/session", "/.zlh/%2e%2e/x", "/.zlh/../x"):
        gw.request(upstream.vmid, path, FETCH, cookie=cookie)
    assert not upstream.requests


@over_both
def test_a_cookie_opens_its_own_host_only(gw):
    cookie = gw.launch(1101)
    assert gw.request(1102, "/.zlh/session", cookie=cookie).status == 401
    assert gw.request(1101, "/.zlh/session", cookie=cookie, host=f"DEV-1101.{gw.config['domain'].upper()}:443"
                      ).status == 200


@over_both
def test_two_session_cookies_count_as_none(gw):
    cookie = gw.launch(1101)
    for value in (f"__Host-zlh_s={cookie}; __Host-zlh_s={cookie}", f"__Host-zlh_s=; __Host-zlh_s={cookie}"):
        assert gw.request(1101, "/.zlh/session", {"Cookie": value}).status == 401
    two = [("Cookie", f"__Host-zlh_s={cookie}"), ("Cookie", f"__Host-zlh_s={cookie}")]
    assert gw.request(1101, "/.zlh/session", two).status in (400, 401)


@over_both
def test_tampered_cookies_are_nothing(gw):
    cookie = gw.launch(1101)
    version, kid, sealed = cookie.split(".")
    flipped = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    for value in (f"{version}.{kid}.{flipped}", f"{version}.{kid}.{sealed[:-1]}", f"{version}.{kid}.", "v1..", "",
                  f"v2.{kid}.{sealed}", f"{version}.other.{sealed}", cookie + "A", cookie.upper(), "x" * 4000):
        assert gw.request(1101, "/.zlh/session", cookie=value).status == 401, value
    assert gw.request(1101, "/.zlh/session", cookie=cookie).status == 200


# --- X-ZLH-Token ---

@over_both
def test_header_token_authorises_and_is_not_passed_on(gw):
    upstream = gw.upstream()
    token = gw.token(upstream.vmid)
    for _ in range(3):
        answer = gw.request(upstream.vmid, "/api", {"X-ZLH-Token": token})
        assert answer.status == 200
        assert not answer.cookies
        assert "x-zlh-token" not in upstream.last.fields()


@over_both
def test_header_token_rules(gw):
    upstream = gw.upstream()
    vmid = upstream.vmid
    refused = (401, 403)
    token = gw.token(vmid)
    assert gw.request(vmid, "/", {"X-ZLH-Token": token, "Origin": gw.origin(vmid)}).status in refused
    assert gw.request(vmid, "/", {"X-ZLH-Token": token, "Origin": "null"}).status in refused
    assert gw.request(vmid, "/", {"X-ZLH-Token": gw.token(1101)}).status in refused
    assert gw.request(vmid, "/", {"X-ZLH-Token": gw.token(vmid, iat=NOW - 900, exp=NOW - 800)}).status in refused
    assert gw.request(vmid, "/", {"X-ZLH-Token": "x"}).status in refused
    assert gw.request(vmid, "/", [("X-ZLH-Token", token), ("X-ZLH-Token", token)]).status in (400, *refused)
    assert gw.request(vmid, "/", {"X-ZLH-Token": token}).status == 200
    assert gw.redeem(vmid, token).status == 303, "using it in a header does not spend it"
    assert gw.request(vmid, "/", {"X-ZLH-Token": token}).status in refused, "but a launch does"


@over_both
def test_spent_tokens_are_told_apart_by_jti_not_by_bytes(gw):
    jti = uuid.uuid4().hex
    assert gw.redeem(1101, gw.token(1101, jti=jti)).status == 303
    assert gw.redeem(1101, gw.token(1101, jti=jti, nbf=NOW - 1)).status == 403


@over_both
def test_one_token_makes_one_session_under_a_race(gw):
    from concurrent.futures import ThreadPoolExecutor

    token = gw.token(1101)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: gw.redeem(1101, token), range(16)))
    assert {answer.status for answer in answers} == {303}, "clicks of one person, whose answers may be lost"
    sessions = {gw.request(1101, "/.zlh/session", FETCH, cookie=session_cookie(answer)).json()["session"]
                for answer in answers}
    assert len(sessions) == 1
    assert gw.redeem(1101, token).status == 403


# --- a double click: the answer to the first click is lost with the navigation that the second one cancels ---

def click(gw, door: str, token: str, **how):
    if door == "form":
        form = urllib.parse.urlencode({"token": token, "next": "/work"}).encode()
        return gw.request(1101, "/.zlh/launch", NAVIGATION | {
            "Sec-Fetch-Site": "cross-site", "Origin": "https://portal.example",
            "Content-Type": "application/x-www-form-urlencoded"}, method="POST", body=form, **how)
    target = f"/.zlh/launch?token={token}&next=/work" if door == "link" else f"/?token={token}&folder=/work"
    return gw.request(1101, target, NAVIGATION, **how)


@over_both
@pytest.mark.parametrize("door", ["link", "root", "form"])
def test_a_double_click_gets_the_same_sessions_cookie_until_it_is_used(gw, door):
    token = gw.token(1101)
    first = click(gw, door, token)
    time.sleep(0.1)
    second = click(gw, door, token)
    assert (first.status, second.status) == (303, 303)
    assert second.one("location") == first.one("location") and second.one("referrer-policy") == "no-referrer"
    own_headers(second)
    assert parts(second.cookies["__Host-zlh_s"])[1] >= {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    sessions = [gw.request(1101, "/.zlh/session", FETCH, cookie=session_cookie(answer)).json()
                for answer in (first, second)]
    assert sessions[0]["session"] == sessions[1]["session"] and sessions[0]["expires"] == sessions[1]["expires"]
    third = click(gw, door, token)
    assert third.status == 403 and "__Host-zlh_s" not in third.cookies, "its cookie was seen"


def test_a_double_click_from_another_address_is_another_persons(gw):
    token = gw.token(1101)
    assert click(gw, "link", token).status == 303
    assert click(gw, "link", token, source="127.0.0.9").status == 403
    assert click(gw, "link", token).status == 303


def test_a_second_click_much_later_is_no_double_click(gw):
    token = gw.token(1101)
    assert click(gw, "link", token).status == 303
    time.sleep(10.2)
    assert click(gw, "link", token).status == 403


def test_a_double_click_does_not_bring_back_a_session_that_ended(make_gateway):
    gw = make_gateway()
    token = gw.token(1101, sid="sid-short")
    assert gw.redeem(1101, token).status == 303
    gw.write_routes(lambda routes: routes.update(revoked=[{"session": "sid-short"}]))
    assert gw.redeem(1101, token).status == 403


@over_both
def test_a_form_sent_twice_on_one_connection_is_a_double_click(gw, http):
    token = gw.token(1101)
    with gw.client(1101) as client:
        answers = [client.request("GET", f"/.zlh/launch?token={token}", NAVIGATION) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303]


# --- times with a fraction (RFC 7519 section 2), keys of other kinds (RFC 7517 section 5) ---

@over_both
@pytest.mark.parametrize("change", [
    {"exp": lambda now: now + 60.5}, {"iat": lambda now: now + 0.25}, {"nbf": lambda now: now - 0.5},
    {"sabs": lambda now: now + 600.75}, {"iat": lambda now: now - 1e-3, "exp": lambda now: now + 1e1},
], ids=lambda change: "-".join(change))
def test_times_may_have_a_fraction(gw, change):
    now = int(time.time())
    claims = {name: value(now) for name, value in change.items()}
    assert gw.redeem(1101, gw.token(1101, **claims)).status == 303


@over_both
@pytest.mark.parametrize("exp", ["1e400", "-1e400", "1e18", "-0.5", "9" * 400 + ".5", "253402300800.0", '"x"', "null",
                                 "[1.5]"])
def test_times_that_are_none_are_refused(gw, exp):
    payload = json.dumps(claims(1101) | {"exp": 12345}).replace("12345", exp).encode()
    assert gw.redeem(1101, compact(gw.key, payload)).status == 403
    assert gw.request(1101, "/", {"X-ZLH-Token": compact(gw.key, payload)}).status == 401


OTHER_KEYS = {
    "for encryption": {"kty": "EC", "crv": "P-256", "use": "enc", "kid": "x", "x": "AA", "y": "AA"},
    "for key agreement": {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AA"},
    "Ed448": {"kty": "OKP", "crv": "Ed448", "kid": "x", "x": "AA"},
    "P-521": {"kty": "EC", "crv": "P-521", "kid": "x", "x": "AA", "y": "AA"},
    "secp256k1": {"kty": "EC", "crv": "secp256k1", "kid": "x", "alg": "ES256K", "x": "AA", "y": "AA"},
    "PS256": {"kty": "RSA", "alg": "PS256", "kid": "x", "n": "AQAB", "e": "AQAB"},
    "RSA-OAEP": {"kty": "RSA", "alg": "RSA-OAEP-256", "kid": "x", "n": "AQAB", "e": "AQAB"},
    "ML-DSA": {"kty": "AKP", "alg": "ML-DSA-65", "kid": "x", "pub": "AA"},
    "of no known type": {"kty": "LWE", "kid": "x"},
    "without kid": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
    "for wrapping": {"kty": "oct", "key_ops": ["wrapKey"], "kid": "x", "k": "A" * 86},
    "too short": {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AAAA"},
    "with a deep member": {"kty": "RSA", "kid": "x", "oth": [{"r": "AA", "more": [{"a": 1}]}]},
}


@pytest.mark.parametrize("front", [True, False], ids=["first", "last"])
def test_keys_of_other_kinds_are_skipped_with_a_warning(make_gateway, front):
    gw = make_gateway()
    new = SigningKey("ES256")
    for name, other in OTHER_KEYS.items():
        keys = [gw.key.jwk(), new.jwk()]
        since = len(gw.log)
        gw.keys_file.write_text(json.dumps({"keys": [other, *keys] if front else [*keys, other]}))
        gw.wait_log(lambda entry: entry["event"] == "keys_loaded" and entry["keys"] == 2, since=since)
        gw.wait_log(lambda entry: entry["event"] == "warning" and "skipped key" in entry["message"], since=since)
        assert gw.redeem(1101, gw.token(1101, key=new)).status == 303, name
    gw.restart()
    assert gw.redeem(1101, gw.token(1101, key=new)).status == 303, "the same at a start"


def test_a_key_file_without_a_usable_key_is_refused(make_gateway):
    gw = make_gateway()
    since = len(gw.log)
    gw.keys_file.write_text(json.dumps({"keys": [OTHER_KEYS["ML-DSA"], OTHER_KEYS["P-521"]]}))
    line = gw.wait_log(lambda entry: entry["event"] == "reload" and entry.get("what") == "keys", since=since)
    assert line["ok"] is False and "AKP" in line["message"]
    assert gw.redeem(1101, gw.token(1101)).status == 303


def test_of_two_keys_with_one_kid_the_first_counts(make_gateway):
    gw = make_gateway()
    other = SigningKey("EdDSA", gw.key.kid)
    since = len(gw.log)
    gw.keys_file.write_text(json.dumps({"keys": [gw.key.jwk(), other.jwk()]}))
    gw.wait_log(lambda entry: entry["event"] == "warning" and "same kid" in entry["message"], since=since)
    assert gw.redeem(1101, gw.token(1101)).status == 303
    assert gw.redeem(1101, gw.token(1101, key=other)).status == 403


def test_a_byte_order_mark_before_the_keys_is_skipped(make_gateway):
    gw = make_gateway(start=False)
    gw.keys_file.write_bytes(b"\xef\xbb\xbf" + gw.keys_file.read_bytes())
    gw.start()
    assert gw.redeem(1101, gw.token(1101)).status == 303
