/* Convolution: choice of the path, and the path for every shape that no other one takes. */
#include "conv2d.h"

#include "fixed_point.h"

void mn_narrow(int8_t *values, int32_t count, int32_t lowest, int32_t highest) {
    const uint32_t low = ((uint32_t)lowest & 0xFFU) * 0x01010101U;
    const uint32_t high = ((uint32_t)highest & 0xFFU) * 0x01010101U;
    if (lowest == INT8_MIN && highest == INT8_MAX) {
        return;
    }
    for (; count >= 4; count -= 4, values += 4) {
        *(mn_word *)values = mn_min_bytes(mn_max_bytes(*(const mn_word *)values, low), high);
    }
    for (; count > 0; count--, values++) {
        *values = mn_clamp(*values, lowest, highest);
    }
}

static int32_t dot_at(const mn_conv2d *op, const int8_t *input, const int8_t *weights, int32_t time, int32_t sensor) {
    const mn_window *window = &op->window;
    const mn_taps taps = mn_taps_at(window, time, sensor);
    const int32_t filters = window->input.filters, zero = op->input_zero_point;
    const int32_t run = (taps.end_sensor - taps.first_sensor) * filters;
    int32_t sum = 0;
    for (int32_t k = taps.first_time; k < taps.end_time; k++) {
        const int8_t *x = input + ((time + k) * window->input.sensors + sensor + taps.first_sensor) * filters;
        const int8_t *w = weights + (k * window->kernel.sensors + taps.first_sensor) * filters;
        for (int32_t i = 0; i < run; i++) {
            sum += (x[i] - zero) * w[i];
        }
    }
    return sum;
}

void mn_conv2d_plain(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t taps = window->kernel.time * window->kernel.sensors * window->input.filters;
    for (int32_t t = 0; t < window->output.time; t++) {
        const int32_t time = t * window->stride.time - window->pad.time;
        for (int32_t s = 0; s < window->output.sensors; s++) {
            const int32_t sensor = s * window->stride.sensors - window->pad.sensors;
            const int8_t *weights = op->weights;
            for (int32_t f = 0; f < window->output.filters; f++, weights += taps) {
                const mn_channel *channel = &op->channels[f];
                const int32_t sum = channel->bias + dot_at(op, input, weights, time, sensor);
                const int32_t scaled = mn_rescale(sum, channel->multiplier, channel->shift);
                *output++ = mn_clamp(scaled + op->output_zero_point, op->activation_min, op->activation_max);
            }
        }
    }
}

void mn_run_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    switch (op->layout) {
        case MN_PAIRED: mn_conv2d_paired(op, input, output); break;
        case MN_SINGLE: mn_conv2d_single(op, input, output); break;
        default: mn_conv2d_plain(op, input, output); break;
    }
}

/* A fully connected operator is a convolution over one position: (1, 1, C_in) -> (1, 1, C_out). */
void mn_run_fully_connected(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    mn_run_conv2d(op, input, output);
}
