/* Rounding integer arithmetic, as defined by gemmlowp (fixedpoint/fixedpoint.h) and used by TFLite's int8 kernels. */
#ifndef MICRONAS_FIXED_POINT_H
#define MICRONAS_FIXED_POINT_H

#include <stdint.h>

/* round(a * b / 2^31), halves up. gemmlowp nudges by sign and truncates, which is the same number; its saturation
 * concerns a = b = -2^31 only, and no factor b here is negative at full scale. */
static inline int32_t mn_rounding_high_mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* x / 2^exponent, halves away from zero; 0 <= exponent <= 31. */
static inline int32_t mn_rounding_shift(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((1U << exponent) - 1U);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> exponent) + (remainder > threshold);
}

/* x * multiplier * 2^(shift - 31) with both roundings of TFLite's MultiplyByQuantizedMultiplier; -31 <= shift <= 30.
 * A left shift that overflows wraps. */
static inline int32_t mn_rescale(int32_t x, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return mn_rounding_shift(mn_rounding_high_mul((int32_t)((uint32_t)x << left), multiplier), right);
}

static inline int8_t mn_clamp(int32_t x, int32_t lowest, int32_t highest) {
    return (int8_t)(x < lowest ? lowest : x > highest ? highest : x);
}

#endif
