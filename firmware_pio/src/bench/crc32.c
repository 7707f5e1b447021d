#include "crc32.h"

uint32_t mn_crc32(const void *data, size_t bytes) {
    const uint8_t *byte = data;
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= byte[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1U ? (crc >> 1) ^ 0xEDB88320U : crc >> 1;
        }
    }
    return ~crc;
}
