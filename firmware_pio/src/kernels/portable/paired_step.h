/* The inner loop of the paired convolution: per four taps two positions times two filters, 16 multiplications.
 *
 * Reads `x` up to `end` (a multiple of 4 bytes, at least one) and moves x and w past what was read; `next` is the distance
 * in bytes to the second position's input. Per position, `low` gains the even filter's products, `both` gains 256 times the
 * odd filter's plus the even filter's. */
#ifndef MICRONAS_PAIRED_STEP_H
#define MICRONAS_PAIRED_STEP_H

#include "dsp.h"

typedef struct {
    int32_t low[2], both[2];
} mn_paired_sums;

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__OPTIMIZE__)

#define MN_FOUR_TAPS                                \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t"             \
    "ldr %[x1], [%[x], %[next]]\n\t"                \
    "ldr %[x0], [%[x]], #4\n\t"                     \
    "sxtb16 %[t], %[w0]\n\t"                        \
    "sxtb16 %[u], %[x0]\n\t"                        \
    "smlad %[low0], %[u], %[t], %[low0]\n\t"        \
    "smlad %[both0], %[u], %[w0], %[both0]\n\t"     \
    "sxtb16 %[u], %[x1]\n\t"                        \
    "smlad %[low1], %[u], %[t], %[low1]\n\t"        \
    "smlad %[both1], %[u], %[w0], %[both1]\n\t"     \
    "sxtb16 %[t], %[w1]\n\t"                        \
    "sxtb16 %[x0], %[x0], ror #8\n\t"               \
    "smlad %[low0], %[x0], %[t], %[low0]\n\t"       \
    "smlad %[both0], %[x0], %[w1], %[both0]\n\t"    \
    "sxtb16 %[x1], %[x1], ror #8\n\t"               \
    "smlad %[low1], %[x1], %[t], %[low1]\n\t"       \
    "smlad %[both1], %[x1], %[w1], %[both1]\n\t"

/* All 14 registers are taken, which is why this is asm (a compiler spills in the loop: 20 instructions per four taps, not
 * 18) and why unoptimised builds, which keep one register for the frame, take the C below. */
#define MN_TWO_POSITIONS(code)                                                                                         \
    uint32_t w0, w1, x0, x1, t, u;                                                                                     \
    __asm__(code                                                                                                       \
            : [x] "+r"(*x), [w] "+r"(*w), [low0] "+r"(sums->low[0]), [both0] "+r"(sums->both[0]),                      \
              [low1] "+r"(sums->low[1]), [both1] "+r"(sums->both[1]), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0), \
              [x1] "=&r"(x1), [t] "=&r"(t), [u] "=&r"(u)                                                               \
            : [next] "r"(next), [end] "r"(end)                                                                         \
            : "cc", "memory")

/* Eight taps a turn; an odd group of four enters in the middle. */
static inline __attribute__((always_inline)) void mn_two_positions(
    const int8_t **x, const mn_word **w, const int8_t *end, intptr_t next, mn_paired_sums *sums) {
    MN_TWO_POSITIONS(
        "sub %[t], %[end], %[x]\n\t"
        "lsls %[t], %[t], #29\n\t"
        "bmi 2f\n"
        "1:\n\t" MN_FOUR_TAPS
        "2:\n\t" MN_FOUR_TAPS
        "cmp %[x], %[end]\n\t"
        "bne 1b");
}

/* The same for a multiple of 16 taps. */
static inline __attribute__((always_inline)) void mn_two_positions_by_16(
    const int8_t **x, const mn_word **w, const int8_t *end, intptr_t next, mn_paired_sums *sums) {
    MN_TWO_POSITIONS(
        "1:\n\t" MN_FOUR_TAPS MN_FOUR_TAPS MN_FOUR_TAPS MN_FOUR_TAPS
        "cmp %[x], %[end]\n\t"
        "bne 1b");
}

#else

static inline void mn_two_positions(
    const int8_t **x, const mn_word **w, const int8_t *end, intptr_t next, mn_paired_sums *sums) {
    for (; *x != end; *x += 4, *w += 2) {
        const uint32_t w0 = (*w)[0], w1 = (*w)[1];
        const uint32_t low0 = mn_even_bytes(w0), low1 = mn_even_bytes(w1);
        for (int p = 0; p < 2; p++) {
            const uint32_t word = *(const mn_word *)(*x + p * next);
            const uint32_t even = mn_even_bytes(word), odd = mn_odd_bytes(word);
            sums->low[p] = mn_mac2(odd, low1, mn_mac2(even, low0, sums->low[p]));
            sums->both[p] = mn_mac2(odd, w1, mn_mac2(even, w0, sums->both[p]));
        }
    }
}

static inline void mn_two_positions_by_16(
    const int8_t **x, const mn_word **w, const int8_t *end, intptr_t next, mn_paired_sums *sums) {
    mn_two_positions(x, w, end, next, sums);
}

#endif

/* The first position alone. */
static inline void mn_one_position(const int8_t **x, const mn_word **w, const int8_t *end, mn_paired_sums *sums) {
    do {
        const uint32_t w0 = (*w)[0], w1 = (*w)[1];
        const uint32_t word = *(const mn_word *)*x;
        const uint32_t even = mn_even_bytes(word), odd = mn_odd_bytes(word);
        sums->low[0] = mn_mac2(odd, mn_even_bytes(w1), mn_mac2(even, mn_even_bytes(w0), sums->low[0]));
        sums->both[0] = mn_mac2(odd, w1, mn_mac2(even, w0, sums->both[0]));
        *x += 4;
        *w += 2;
    } while (*x != end);
}

#endif
