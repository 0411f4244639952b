#pragma once

// HTTP/2's framing, HPACK and stream states: Debian's libnghttp2.
#include <nghttp2/nghttp2.h>
