/* Depthwise convolution, one filter per input channel; weights in TFLite's order (time, sensors, filters). */
#include "conv2d.h"
#include "fixed_point.h"

static int32_t dot_at(const mn_conv2d *op, mn_taps taps, const int8_t *x, const int8_t *w) {
    const mn_window *window = &op->window;
    const int32_t filters = window->input.filters, zero = op->input_zero_point;
    const int32_t row = window->input.sensors * filters, kernel_row = window->kernel.sensors * filters;
    int32_t sum = 0;
    for (int32_t t = taps.first_time; t < taps.end_time; t++) {
        for (int32_t s = taps.first_sensor; s < taps.end_sensor; s++) {
            sum += (x[t * row + s * filters] - zero) * w[t * kernel_row + s * filters];
        }
    }
    return sum;
}

void mn_run_depthwise_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t filters = window->input.filters;
    for (int32_t t = 0; t < window->output.time; t++) {
        for (int32_t s = 0; s < window->output.sensors; s++) {
            const int32_t time = t * window->stride.time - window->pad.time;
            const int32_t sensor = s * window->stride.sensors - window->pad.sensors;
            const mn_taps taps = mn_taps_at(window, time, sensor);
            /* May point before the input; only taps inside are read. */
            const intptr_t corner = ((intptr_t)time * window->input.sensors + sensor) * filters;
            for (int32_t f = 0; f < filters; f++) {
                const mn_channel *channel = &op->channels[f];
                const int32_t sum = channel->bias + dot_at(op, taps, input + corner + f, (const int8_t *)op->weights + f);
                const int32_t scaled = mn_rescale(sum, channel->multiplier, channel->shift);
                *output++ = mn_clamp(scaled + op->output_zero_point, op->activation_min, op->activation_max);
            }
        }
    }
}
