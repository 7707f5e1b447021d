/* Mean over time and sensors (global average pooling). */
#include "dsp.h"
#include "fixed_point.h"
#include "micronas/kernels.h"

enum { LANES = 4, DRAIN = 256 }; /* 256 sums of int8 fit an int16 lane */

/* Sums of four neighbouring filters over all positions. */
static void sum_lanes(const int8_t *x, int32_t positions, int32_t filters, int32_t sums[LANES]) {
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    while (positions > 0) {
        const int32_t part = positions < DRAIN ? positions : DRAIN;
        uint32_t even = 0, odd = 0;
        for (const int8_t *const end = x + part * filters; x != end; x += filters) {
            const uint32_t word = *(const mn_unaligned_word *)x;
            even = mn_add_even_bytes(even, word);
            odd = mn_add_odd_bytes(odd, word);
        }
        sums[0] += (int16_t)even;
        sums[1] += (int16_t)odd;
        sums[2] += (int16_t)(even >> 16);
        sums[3] += (int16_t)(odd >> 16);
        positions -= part;
    }
}

static int32_t sum_one(const int8_t *x, int32_t positions, int32_t filters) {
    int32_t sum = 0;
    for (int32_t i = 0; i < positions; i++, x += filters) {
        sum += *x;
    }
    return sum;
}

static int8_t scale(const mn_mean *op, int32_t sum) {
    const int32_t positions = op->input.time * op->input.sensors;
    const int32_t mean = mn_rescale(sum - positions * op->input_zero_point, op->multiplier, op->shift);
    return mn_clamp(mean + op->output_zero_point, INT8_MIN, INT8_MAX);
}

void mn_run_mean(const mn_mean *op, const int8_t *input, int8_t *output) {
    const int32_t filters = op->input.filters, positions = op->input.time * op->input.sensors;
    if (filters < LANES) {
        for (int32_t f = 0; f < filters; f++) {
            output[f] = scale(op, sum_one(input + f, positions, filters));
        }
        return;
    }
    for (int32_t f = 0; f < filters; f += LANES) {
        /* The last group may overlap the one before: the same sums again. */
        const int32_t first = f + LANES <= filters ? f : filters - LANES;
        int32_t sums[LANES];
        sum_lanes(input + first, positions, filters, sums);
        for (int32_t lane = 0; lane < LANES; lane++) {
            output[first + lane] = scale(op, sums[lane]);
        }
    }
}
