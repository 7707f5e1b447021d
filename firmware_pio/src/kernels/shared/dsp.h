/* The instructions of ARM's DSP extension that the kernels use, and their meaning in plain C everywhere else. */
#ifndef MICRONAS_DSP_H
#define MICRONAS_DSP_H

#include <stdint.h>

/* A word of four int8 lanes, or of two int16 lanes, lane 0 in the low bits. May alias: tensors are int8_t arrays. */
typedef uint32_t __attribute__((may_alias)) mn_word;
/* The same at any address; Cortex-M4 and M33 load it in one instruction. */
typedef uint32_t __attribute__((may_alias, aligned(1))) mn_unaligned_word;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Packed weights are little endian"
#endif

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

/* Plain asm instead of the ACLE intrinsics: those know no rotated SXTB16. None is volatile: the compiler may schedule. */
static inline uint32_t mn_even_bytes(uint32_t x) {
    uint32_t r;
    __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}
static inline uint32_t mn_odd_bytes(uint32_t x) {
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}
static inline uint32_t mn_add_even_bytes(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2" : "=r"(r) : "r"(a), "r"(x));
    return r;
}
static inline uint32_t mn_add_odd_bytes(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(a), "r"(x));
    return r;
}
static inline int32_t mn_mac2(uint32_t x, uint32_t y, int32_t acc) {
    int32_t r;
    __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}
static inline int32_t mn_mac_word_low(int32_t a, uint32_t x, int32_t acc) {
    int32_t r;
    __asm__("smlawb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(x), "r"(acc));
    return r;
}
static inline int32_t mn_mac_word_high(int32_t a, uint32_t x, int32_t acc) {
    int32_t r;
    __asm__("smlawt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(x), "r"(acc));
    return r;
}
static inline int32_t mn_high_mul_round(int32_t a, int32_t b) {
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}
/* `shift` must be a constant. */
#define mn_shift_saturate8(x, shift)                                                  \
    __extension__({                                                                   \
        int32_t r_;                                                                   \
        __asm__("ssat %0, #8, %1, asr %2" : "=r"(r_) : "r"(x), "i"(shift));           \
        r_;                                                                           \
    })
static inline uint32_t mn_max_bytes(uint32_t x, uint32_t y) {
    uint32_t r, unused;
    __asm__("ssub8 %1, %2, %3\n\tsel %0, %2, %3" : "=r"(r), "=&r"(unused) : "r"(x), "r"(y));
    return r;
}
static inline uint32_t mn_min_bytes(uint32_t x, uint32_t y) {
    uint32_t r, unused;
    __asm__("ssub8 %1, %2, %3\n\tsel %0, %3, %2" : "=r"(r), "=&r"(unused) : "r"(x), "r"(y));
    return r;
}

#else

static inline int32_t mn_lane8(uint32_t x, int lane) { return (int8_t)(x >> (8 * lane)); }
static inline int32_t mn_lane16(uint32_t x, int lane) { return (int16_t)(x >> (16 * lane)); }
static inline uint32_t mn_lanes16(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16);
}

/* (byte 0, byte 2) and (byte 1, byte 3), sign-extended to halfwords. */
static inline uint32_t mn_even_bytes(uint32_t x) { return mn_lanes16(mn_lane8(x, 0), mn_lane8(x, 2)); }
static inline uint32_t mn_odd_bytes(uint32_t x) { return mn_lanes16(mn_lane8(x, 1), mn_lane8(x, 3)); }
static inline uint32_t mn_add_even_bytes(uint32_t a, uint32_t x) {
    return mn_lanes16(mn_lane16(a, 0) + mn_lane8(x, 0), mn_lane16(a, 1) + mn_lane8(x, 2));
}
static inline uint32_t mn_add_odd_bytes(uint32_t a, uint32_t x) {
    return mn_lanes16(mn_lane16(a, 0) + mn_lane8(x, 1), mn_lane16(a, 1) + mn_lane8(x, 3));
}
/* acc + x0 * y0 + x1 * y1 over the halfwords, modulo 2^32. */
static inline int32_t mn_mac2(uint32_t x, uint32_t y, int32_t acc) {
    const uint32_t low = (uint32_t)(mn_lane16(x, 0) * mn_lane16(y, 0));
    const uint32_t high = (uint32_t)(mn_lane16(x, 1) * mn_lane16(y, 1));
    return (int32_t)((uint32_t)acc + low + high);
}
/* acc + floor(a * halfword / 2^16). */
static inline int32_t mn_mac_word_low(int32_t a, uint32_t x, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(((int64_t)a * mn_lane16(x, 0)) >> 16));
}
static inline int32_t mn_mac_word_high(int32_t a, uint32_t x, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(((int64_t)a * mn_lane16(x, 1)) >> 16));
}
/* round(a * b / 2^32), halves up. */
static inline int32_t mn_high_mul_round(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
}
/* (x >> shift) clamped to int8. */
static inline int32_t mn_shift_saturate8(int32_t x, int shift) {
    x >>= shift;
    return x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x;
}
/* Larger and smaller of two words, int8 lane by lane. */
static inline uint32_t mn_max_bytes(uint32_t x, uint32_t y) {
    uint32_t r = 0;
    for (int lane = 0; lane < 4; lane++) {
        const int32_t a = mn_lane8(x, lane), b = mn_lane8(y, lane);
        r |= ((uint32_t)(a > b ? a : b) & 0xFFU) << (8 * lane);
    }
    return r;
}
static inline uint32_t mn_min_bytes(uint32_t x, uint32_t y) {
    return ~mn_max_bytes(~x, ~y); /* ~ reverses the order of int8 */
}

#endif
#endif
