/* Shapes of sliding operators, and how much memory their packed weights take. */
#include "micronas/pack.h"

static int32_t output_extent(int32_t extent, int32_t kernel, int32_t stride, int same) {
    return ((same ? extent : extent - kernel + 1) + stride - 1) / stride;
}

static int32_t padding_before(int32_t extent, int32_t output, int32_t kernel, int32_t stride, int same) {
    const int32_t total = (output - 1) * stride + kernel - extent;
    return same && total > 0 ? total / 2 : 0;
}

mn_window mn_window_of(mn_shape input, int32_t filters, mn_pair kernel, mn_pair stride, int same) {
    const int32_t time = output_extent(input.time, kernel.time, stride.time, same);
    const int32_t sensors = output_extent(input.sensors, kernel.sensors, stride.sensors, same);
    return (mn_window){
        .input = input,
        .output = {(int16_t)time, (int16_t)sensors, (int16_t)filters},
        .kernel = kernel,
        .stride = stride,
        .pad = {(int16_t)padding_before(input.time, time, kernel.time, stride.time, same),
                (int16_t)padding_before(input.sensors, sensors, kernel.sensors, stride.sensors, same)}};
}

static int32_t taps_of(const mn_window *window) { return window->kernel.time * window->kernel.sensors; }

size_t mn_conv2d_weight_bytes(const mn_window *window, uint8_t layout) {
    const int32_t taps = taps_of(window), filters = window->output.filters;
    switch (layout) {
        case MN_PAIRED: return (size_t)(taps * window->input.filters * (filters + filters % 2));
        case MN_SINGLE: return (size_t)((taps + 1) / 2 * 4 * filters);
        default: return (size_t)(taps * window->input.filters * filters);
    }
}

int32_t mn_conv2d_channels(const mn_window *window, uint8_t layout) {
    return window->output.filters + (layout == MN_PAIRED ? window->output.filters % 2 : 0);
}
