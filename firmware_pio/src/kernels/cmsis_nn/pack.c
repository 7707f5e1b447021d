/* CMSIS-NN takes weights in TFLite's order: packing is copying. */
#include "micronas/pack.h"

#include <string.h>

#include "cmsis_nn.h"

uint8_t mn_conv2d_layout(const mn_window *window) {
    (void)window;
    return MN_PLAIN;
}

/* The three arrays and, behind them, the record that points to them: sizeof(mn_channel) per filter and once more. */
static void pack(const mn_conv2d_source *source, int32_t weight_count, void *weights, mn_channel *channels, mn_conv2d *op) {
    const size_t filters = (size_t)source->window.output.filters, bytes = filters * sizeof(int32_t);
    int32_t *const arrays = (int32_t *)channels;
    memcpy(arrays, source->bias, bytes);
    memcpy(arrays + filters, source->multiplier, bytes);
    memcpy(arrays + 2 * filters, source->shift, bytes);
    memcpy(weights, source->weights, (size_t)weight_count);
    _Static_assert(sizeof(mn_cmsis_channels) <= sizeof(mn_channel), "pointers are 32 bits wide on the boards");
    mn_cmsis_channels *const record = (mn_cmsis_channels *)&channels[filters];
    *record = (mn_cmsis_channels){arrays, arrays + filters, arrays + 2 * filters};
    *op = mn_plain_conv2d(source, weights, (const mn_channel *)record);
}

static int32_t filter_weights(const mn_window *window) {
    return window->kernel.time * window->kernel.sensors * window->input.filters;
}

void mn_pack_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op) {
    pack(source, filter_weights(&source->window) * source->window.output.filters, weights, channels, op);
}

void mn_pack_depthwise_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op) {
    pack(source, filter_weights(&source->window), weights, channels, op);
}
