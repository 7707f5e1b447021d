/* Elementwise sum of two tensors with different scales. */
#include "conv2d.h"
#include "fixed_point.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static int8_t add_exact(const mn_add *op, int32_t x1, int32_t x2) {
    const int32_t a = mn_rescale((x1 - op->zero_point1) * (1 << 20), op->multiplier1, op->shift1);
    const int32_t b = mn_rescale((x2 - op->zero_point2) * (1 << 20), op->multiplier2, op->shift2);
    const int32_t sum = mn_rescale(a + b, op->output_multiplier, op->output_shift);
    return mn_clamp(sum + op->output_zero_point, op->activation_min, op->activation_max);
}

/* Four elements: bytes in the high half of halfwords, where SMLAW takes them without further unpacking. */
ALWAYS_INLINE uint32_t add_fast(const mn_add *op, uint32_t x1, uint32_t x2) {
    const uint32_t high = 0xFF00FF00U, even1 = (x1 << 8) & high, even2 = (x2 << 8) & high;
    const uint32_t odd1 = x1 & high, odd2 = x2 & high;
    const int32_t g1 = op->gain1, g2 = op->gain2, c = op->offset;
    const int32_t r0 = mn_mac_word_low(g2, even2, mn_mac_word_low(g1, even1, c));
    const int32_t r1 = mn_mac_word_low(g2, odd2, mn_mac_word_low(g1, odd1, c));
    const int32_t r2 = mn_mac_word_high(g2, even2, mn_mac_word_high(g1, even1, c));
    const int32_t r3 = mn_mac_word_high(g2, odd2, mn_mac_word_high(g1, odd1, c));
    return ((uint32_t)mn_shift_saturate8(r0, 22) & 0xFFU) | ((uint32_t)mn_shift_saturate8(r1, 22) & 0xFFU) << 8 |
           ((uint32_t)mn_shift_saturate8(r2, 22) & 0xFFU) << 16 | (uint32_t)mn_shift_saturate8(r3, 22) << 24;
}

void mn_run_add(const mn_add *op, const int8_t *input1, const int8_t *input2, int8_t *output) {
    int32_t i = 0;
    if (op->fast) {
        for (; i + 4 <= op->count; i += 4) {
            const uint32_t x1 = *(const mn_word *)(input1 + i), x2 = *(const mn_word *)(input2 + i);
            *(mn_word *)(output + i) = add_fast(op, x1, x2);
        }
        mn_narrow(output, i, op->activation_min, op->activation_max);
    }
    for (; i < op->count; i++) {
        output[i] = add_exact(op, input1[i], input2[i]);
    }
}
