/* What the files of the convolution share. */
#ifndef MICRONAS_CONV2D_H
#define MICRONAS_CONV2D_H

#include "dsp.h"
#include "micronas/kernels.h"

/* The taps of the kernel that fall inside the input at one output position: [first, end) on both axes. */
typedef struct {
    int32_t first_time, end_time, first_sensor, end_sensor;
} mn_taps;

static inline int32_t mn_first_tap(int32_t start) { return start < 0 ? -start : 0; }

static inline int32_t mn_end_tap(int32_t start, int32_t kernel, int32_t extent) {
    return start + kernel > extent ? extent - start : kernel;
}

/* `time` and `sensor` are the input coordinates of tap (0, 0); both may be negative. */
static inline mn_taps mn_taps_at(const mn_window *window, int32_t time, int32_t sensor) {
    return (mn_taps){
        mn_first_tap(time), mn_end_tap(time, window->kernel.time, window->input.time),
        mn_first_tap(sensor), mn_end_tap(sensor, window->kernel.sensors, window->input.sensors)};
}

static inline int mn_taps_equal(mn_taps a, mn_taps b) {
    return a.first_time == b.first_time && a.end_time == b.end_time && a.first_sensor == b.first_sensor &&
           a.end_sensor == b.end_sensor;
}

/* Rescales a prepared accumulator (twice its value): the two roundings of mn_rescale and the output's zero point, folded
 * into the second rounding: (x + half - (x < 0)) >> shift rounds halves away from zero. `zero` = 2 * zero point + 1. */
static inline int32_t mn_requantize(int32_t twice, const mn_channel *channel, int32_t zero) {
    int32_t x = mn_high_mul_round(twice, channel->multiplier);
    x += x >> 31;
    x += (int32_t)((uint32_t)zero << channel->shift);
    return mn_shift_saturate8(x >> channel->shift, 1);
}

/* Narrows a finished output to the activation's range, four values at a time; mn_requantize saturates to int8 only. */
void mn_narrow(int8_t *values, int32_t count, int32_t lowest, int32_t highest);

void mn_conv2d_plain(const mn_conv2d *op, const int8_t *input, int8_t *output);
void mn_conv2d_paired(const mn_conv2d *op, const int8_t *input, int8_t *output);
void mn_conv2d_single(const mn_conv2d *op, const int8_t *input, int8_t *output);

#endif
