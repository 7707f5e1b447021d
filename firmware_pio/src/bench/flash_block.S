/* Pseudo-random weights and plausible channels in flash, so that a timed operator reads its constants from where a deployed
 * one does. The generator is the linear congruential one of Numerical Recipes; a word is its upper half, twice. */
    .section .rodata.mn_flash_block, "a"
    .balign 16

    .global mn_flash_weights
mn_flash_weights:
    .set state, 1
    .rept 32768
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .set upper, state >> 16
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .long (upper << 16) | (state >> 16)
    .endr

    /* bias within +-2^11, multiplier in [2^30, 2^31), shift 9 */
    .global mn_flash_channels
mn_flash_channels:
    .rept 512
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .long (state >> 20) - 2048
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .long 0x40000000 | (state >> 2)
    .long 9
    .endr

#ifdef MN_BACKEND_CMSIS_NN
    .global mn_flash_biases, mn_flash_multipliers, mn_flash_shifts
mn_flash_biases:
    .rept 512
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .long (state >> 20) - 2048
    .endr
mn_flash_multipliers:
    .rept 512
    .set state, (state * 1664525 + 1013904223) & 0xFFFFFFFF
    .long 0x40000000 | (state >> 2)
    .endr
mn_flash_shifts:
    .rept 512
    .long -9
    .endr
#endif
