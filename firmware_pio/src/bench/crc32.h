#ifndef MICRONAS_CRC32_H
#define MICRONAS_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of ISO 3309, as zlib computes it. */
uint32_t mn_crc32(const void *data, size_t bytes);

#endif
