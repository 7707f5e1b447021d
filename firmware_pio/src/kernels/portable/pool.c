/* Average and maximum over the part of a window that lies inside the input; scale and zero point stay. */
#include "conv2d.h"
#include "fixed_point.h"

/* Rounds halves away from zero. */
static int32_t rounded_quotient(int32_t sum, int32_t count) {
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static int32_t average_at(const int8_t *x, mn_taps taps, int32_t row, int32_t filters) {
    int32_t sum = 0;
    for (int32_t t = taps.first_time; t < taps.end_time; t++) {
        for (int32_t s = taps.first_sensor; s < taps.end_sensor; s++) {
            sum += x[t * row + s * filters];
        }
    }
    return rounded_quotient(sum, (taps.end_time - taps.first_time) * (taps.end_sensor - taps.first_sensor));
}

static int32_t maximum_at(const int8_t *x, mn_taps taps, int32_t row, int32_t filters) {
    int32_t highest = INT8_MIN;
    for (int32_t t = taps.first_time; t < taps.end_time; t++) {
        for (int32_t s = taps.first_sensor; s < taps.end_sensor; s++) {
            const int32_t value = x[t * row + s * filters];
            highest = value > highest ? value : highest;
        }
    }
    return highest;
}

typedef int32_t reduction(const int8_t *x, mn_taps taps, int32_t row, int32_t filters);

/* Inlined into its two callers, and the reduction with it. */
static inline __attribute__((always_inline)) void pool(const mn_pool *op, const int8_t *input, int8_t *output,
                                                       reduction *reduce) {
    const mn_window *window = &op->window;
    const int32_t filters = window->input.filters, row = window->input.sensors * filters;
    for (int32_t t = 0; t < window->output.time; t++) {
        for (int32_t s = 0; s < window->output.sensors; s++) {
            const int32_t time = t * window->stride.time - window->pad.time;
            const int32_t sensor = s * window->stride.sensors - window->pad.sensors;
            const mn_taps taps = mn_taps_at(window, time, sensor);
            const int8_t *const corner = input + ((intptr_t)time * row + sensor * filters);
            for (int32_t f = 0; f < filters; f++) {
                const int32_t value = reduce(corner + f, taps, row, filters);
                *output++ = mn_clamp(value, op->activation_min, op->activation_max);
            }
        }
    }
}

void mn_run_average_pool2d(const mn_pool *op, const int8_t *input, int8_t *output) {
    pool(op, input, output, average_at);
}

void mn_run_max_pool2d(const mn_pool *op, const int8_t *input, int8_t *output) {
    pool(op, input, output, maximum_at);
}
