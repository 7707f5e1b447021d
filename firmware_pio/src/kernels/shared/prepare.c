/* What is prepared alike for every backend: the record of a convolution, sums, means. */
#include "fixed_point.h"
#include "micronas/pack.h"

enum { FRACTION = 22, GAIN_TRIES = 3 };

mn_conv2d mn_plain_conv2d(const mn_conv2d_source *source, const void *weights, const mn_channel *channels) {
    return (mn_conv2d){
        .window = source->window,
        .input_zero_point = source->input_zero_point,
        .output_zero_point = source->output_zero_point,
        .activation_min = source->activation_min,
        .activation_max = source->activation_max,
        .layout = MN_PLAIN,
        .weights = weights,
        .channels = channels};
}

/* round(m1 * m2 * 2^exponent), or INT32_MAX when that is no int32 above zero; m1, m2 >= 0. */
static int32_t scaled_product(int32_t m1, int32_t m2, int32_t exponent) {
    const int64_t product = (int64_t)m1 * m2;
    if (exponent >= 0) {
        return INT32_MAX;
    }
    if (exponent < -62) {
        return 0;
    }
    const int64_t rounded = (product + (INT64_C(1) << (-exponent - 1))) >> -exponent;
    return rounded < INT32_MAX ? (int32_t)rounded : INT32_MAX;
}

/* What the operator's definition gives before the activation's clamp, kept to int8. */
static int32_t exact_sum(const mn_add *op, int32_t first, int32_t x2) {
    const int32_t second = mn_rescale((x2 - op->zero_point2) * (1 << 20), op->multiplier2, op->shift2);
    const int32_t sum = mn_rescale(first + second, op->output_multiplier, op->output_shift);
    return mn_clamp(sum + op->output_zero_point, INT8_MIN, INT8_MAX);
}

static int32_t gained(int32_t gain, int32_t x) { return (int32_t)(((int64_t)gain * (x * 256)) >> 16); }

/* The offsets with which the two gains reproduce the definition for every pair of inputs: an interval, perhaps empty. */
static int find_offset(mn_add *op) {
    int64_t lowest = INT32_MIN, highest = INT32_MAX;
    for (int32_t x1 = INT8_MIN; x1 <= INT8_MAX; x1++) {
        const int32_t first = mn_rescale((x1 - op->zero_point1) * (1 << 20), op->multiplier1, op->shift1);
        const int32_t a = gained(op->gain1, x1);
        for (int32_t x2 = INT8_MIN; x2 <= INT8_MAX; x2++) {
            const int32_t wanted = exact_sum(op, first, x2);
            const int64_t sum = (int64_t)a + gained(op->gain2, x2);
            /* Saturated results may lie anywhere beyond, as far as the accumulator reaches. */
            const int64_t from = wanted == INT8_MIN ? INT32_MIN : (int64_t)wanted * (1 << FRACTION);
            const int64_t to = wanted == INT8_MAX ? INT32_MAX : ((int64_t)wanted + 1) * (1 << FRACTION) - 1;
            lowest = from - sum > lowest ? from - sum : lowest;
            highest = to - sum < highest ? to - sum : highest;
            /* The partial sum offset + a must fit, too. */
            lowest = INT32_MIN - (int64_t)a > lowest ? INT32_MIN - (int64_t)a : lowest;
            highest = INT32_MAX - (int64_t)a < highest ? INT32_MAX - (int64_t)a : highest;
            if (lowest > highest) {
                return 0;
            }
        }
    }
    op->offset = (int32_t)(lowest + (highest - lowest) / 2);
    return 1;
}

void mn_prepare_add(mn_add *op) {
    /* Real gains: multiplier * output multiplier * 2^(20 + shifts - 62); 8 bits come from the bytes' place in halfwords and
     * 16 go in the multiplication: 2^(FRACTION + 16 - 8). */
    const int32_t exponent = 20 - 62 + FRACTION + 8 + op->output_shift;
    const int32_t gain1 = scaled_product(op->multiplier1, op->output_multiplier, exponent + op->shift1);
    const int32_t gain2 = scaled_product(op->multiplier2, op->output_multiplier, exponent + op->shift2);
    op->fast = op->gain1 = op->gain2 = op->offset = 0;
    if (gain1 > INT32_MAX - GAIN_TRIES || gain2 > INT32_MAX - GAIN_TRIES) {
        return;
    }
    /* Where the nearest gains fail, the definition's own roundings can favour others close by. */
    for (int32_t i = 0; i < (2 * GAIN_TRIES + 1) * (2 * GAIN_TRIES + 1) && !op->fast; i++) {
        const int32_t step1 = i / (2 * GAIN_TRIES + 1), step2 = i % (2 * GAIN_TRIES + 1);
        op->gain1 = gain1 + (step1 % 2 ? 1 : -1) * ((step1 + 1) / 2);
        op->gain2 = gain2 + (step2 % 2 ? 1 : -1) * ((step2 + 1) / 2);
        op->fast = find_offset(op);
    }
}

void mn_prepare_mean(mn_mean *op, int32_t multiplier, int32_t shift) {
    const int32_t positions = op->input.time * op->input.sensors;
    int32_t bits = 0;
    while (positions >> (bits + 1)) {
        bits++;
    }
    /* The quotient keeps the multiplier's precision: 2^bits <= positions < 2^(bits + 1). */
    bits = bits < 31 + shift ? bits : 31 + shift;
    op->multiplier = (int32_t)(((int64_t)multiplier << bits) / positions);
    op->shift = shift - bits;
}
