#include "CZlib.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Each block carries its size in front, kept as aligned as malloc's.
enum { header = 16 };

static void *take(void *opaque, uInt items, uInt size) {
    zlh_gzip *gzip = opaque;
    size_t count;
    if (__builtin_mul_overflow((size_t)items, (size_t)size, &count) || count > SIZE_MAX - header) return NULL;
    unsigned char *block = malloc(count + header);
    if (block == NULL) return NULL;
    memcpy(block, &count, sizeof count);
    gzip->held += count + header;
    return block + header;
}

static void give(void *opaque, void *address) {
    zlh_gzip *gzip = opaque;
    unsigned char *block = (unsigned char *)address - header;
    size_t count;
    memcpy(&count, block, sizeof count);
    gzip->held -= count + header;
    free(block);
}

int zlh_gzip_begin(zlh_gzip *gzip, int level, int window_bits, int memory_level) {
    memset(gzip, 0, sizeof *gzip);
    gzip->stream.zalloc = take;
    gzip->stream.zfree = give;
    gzip->stream.opaque = gzip;
    // 16 more asks for gzip's header and trailer instead of zlib's.
    return deflateInit2(&gzip->stream, level, Z_DEFLATED, window_bits + 16, memory_level, Z_DEFAULT_STRATEGY);
}

int zlh_gunzip_begin(z_stream *stream) {
    memset(stream, 0, sizeof *stream);
    return inflateInit2(stream, 15 + 16);
}
