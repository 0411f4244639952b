"""What the end-to-end tests are written with: a gateway to start, clients to speak raw bytes, upstreams to misbehave."""

import pytest

# Runs a test once with each protocol: see the fixture `http`.
over_both = pytest.mark.usefixtures("http")
