#pragma once

// Input is const: deflate never writes to it.
#define ZLIB_CONST
#include <stddef.h>
#include <zlib.h>

// One gzip stream, and what zlib holds for it. It must not move: zlib keeps a pointer to `stream`.
typedef struct zlh_gzip {
    z_stream stream;
    // Bytes that zlib asked for, less those it gave back.
    size_t held;
} zlh_gzip;

// Begins a stream; Z_OK, or Z_MEM_ERROR when memory is short, and then nothing is held.
int zlh_gzip_begin(zlh_gzip *gzip, int level, int window_bits, int memory_level);

// Begins the decoding of a stream, for tests; Z_OK on success.
int zlh_gunzip_begin(z_stream *stream);
