#pragma once
#include <openssl/ssl.h>
#include "crypto_shim.h"
