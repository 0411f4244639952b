"""What the end-to-end tests are written with: a gateway to start, clients to speak raw bytes, upstreams to misbehave."""
