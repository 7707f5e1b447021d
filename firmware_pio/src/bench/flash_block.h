/* Constants that stand for trained ones: flash_block.S. */
#ifndef MICRONAS_FLASH_BLOCK_H
#define MICRONAS_FLASH_BLOCK_H

#include "micronas/kernels.h"

enum { MN_FLASH_WEIGHT_BYTES = 131072, MN_FLASH_CHANNELS = 512 };

extern const uint32_t mn_flash_weights[MN_FLASH_WEIGHT_BYTES / 4];
extern const mn_channel mn_flash_channels[MN_FLASH_CHANNELS];

/* The same figures, an array of each. */
extern const int32_t mn_flash_biases[MN_FLASH_CHANNELS], mn_flash_multipliers[MN_FLASH_CHANNELS],
    mn_flash_shifts[MN_FLASH_CHANNELS];

#endif
