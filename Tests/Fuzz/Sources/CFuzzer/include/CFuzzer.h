#include <stddef.h>
#include <stdint.h>

/// libFuzzer's loop: calls `one` with ever new inputs.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *data, size_t size));
