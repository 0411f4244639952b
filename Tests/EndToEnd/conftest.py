"""Fixtures. A test module may set GATEWAY (configuration laid on the defaults) for the gateway it shares."""

import resource

import pytest

from harness.certs import Authority
from harness.gateway import BINARY, LIVE, Gateway

# Thousands of sockets are opened here and by the gateway, which inherits the limit.
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="also run the long variants")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "slow" in item.keywords and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="long variant; run with --soak"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for gateway in LIVE:
            report.sections.append((f"gateway {gateway.directory.name}", gateway.tail()))


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is missing: make build, or set ZLH_EDGE_BIN", returncode=4)
    return BINARY


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def gw(request, tmp_path_factory, authority):
    """The module's gateway."""
    gateway = Gateway(tmp_path_factory.mktemp(request.module.__name__), authority,
                      getattr(request.module, "GATEWAY", {}), getattr(request.module, "KEYS", None),
                      routes=getattr(request.module, "ROUTES", 240))
    gateway.start()
    yield gateway
    gateway.close()


@pytest.fixture
def make_gateway(tmp_path, authority):
    """A gateway of the test's own: `make_gateway(limits={...})`. Not started when `start=False`."""
    made = []

    def make(start: bool = True, keys=None, routes: int = 40, environment=None, **config) -> Gateway:
        gateway = Gateway(tmp_path / f"gateway{len(made)}", authority, config, keys, routes, environment)
        made.append(gateway)
        return gateway.start() if start else gateway

    yield make
    problems = []
    for gateway in made:
        try:
            gateway.close()
        except AssertionError as error:
            problems.append(error)
    assert not problems, problems[0]


@pytest.fixture(params=["http/1.1", "h2"], ids=["http1", "http2"])
def http(request, monkeypatch) -> str:
    """Runs the test over both protocols: `client()`, `request()` and what is made of them speak one or the other."""
    monkeypatch.setattr(Gateway, "protocol", request.param)
    return request.param


@pytest.fixture(autouse=True)
def still_running(request):
    """A test that ends the shared gateway has found a crash."""
    gateway = request.getfixturevalue("gw") if "gw" in request.fixturenames else None
    yield
    if gateway and gateway.process:
        assert gateway.running(), f"the gateway died:\n{gateway.tail()}"
