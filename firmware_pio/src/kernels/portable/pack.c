/* Packed convolutions; layouts: pack.h. */
#include "micronas/pack.h"

#include <string.h>

enum { LARGEST_SHIFT = 23 };

static int32_t taps_of(const mn_window *window) { return window->kernel.time * window->kernel.sensors; }

uint8_t mn_conv2d_layout(const mn_window *window) {
    if (window->input.filters == 1 && taps_of(window) <= 2 * MN_SINGLE_WORDS) {
        return MN_SINGLE;
    }
    return window->input.filters % 4 == 0 ? MN_PAIRED : MN_PLAIN;
}

static void exact_channels(const mn_conv2d_source *source, mn_channel *channels) {
    for (int32_t f = 0; f < source->window.output.filters; f++) {
        channels[f] = (mn_channel){source->bias[f], source->multiplier[f], source->shift[f]};
    }
}

/* Prepares one filter; 0 when it does not meet the conditions of the packed layouts. */
static int prepare_channel(const mn_conv2d_source *source, int32_t filter, int32_t weights, mn_channel *channel) {
    const int8_t *w = source->weights + filter * weights;
    const int64_t bias = source->bias[filter];
    const int32_t multiplier = source->multiplier[filter], right = -source->shift[filter];
    int64_t sum = 0, bound = bias < 0 ? -bias : bias;
    for (int32_t i = 0; i < weights; i++) {
        if (w[i] == INT8_MIN) {
            return 0;
        }
        sum += w[i];
        bound += 255 * (w[i] < 0 ? -w[i] : w[i]);
    }
    if (bound >= INT64_C(1) << 30) {
        return 0;
    }
    channel->bias = (int32_t)(2 * (bias - source->input_zero_point * sum));
    if (multiplier == 0 || (right > 0 && bound < INT64_C(1) << (right - 1))) {
        channel->multiplier = channel->shift = 0;
        return 1;
    }
    channel->multiplier = multiplier;
    channel->shift = right - 1;
    return right >= 1 && right <= LARGEST_SHIFT;
}

static int prepare_channels(const mn_conv2d_source *source, int32_t weights, mn_channel *channels) {
    const int32_t filters = source->window.output.filters;
    for (int32_t f = 0; f < filters; f++) {
        if (!prepare_channel(source, f, weights, &channels[f])) {
            return 0;
        }
    }
    return 1;
}

static uint32_t halves(int32_t low, int32_t high) { return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16); }

static void pack_paired(const int8_t *w, int32_t filters, int32_t weights, uint32_t *to) {
    for (int32_t f = 0; f < filters; f += 2) {
        const int8_t *a = w + f * weights, *b = f + 1 < filters ? a + weights : NULL;
        for (int32_t i = 0; i < weights; i += 4, to += 2) {
            int32_t h[4];
            for (int32_t c = 0; c < 4; c++) {
                h[c] = 256 * (b == NULL ? 0 : b[i + c]) + a[i + c];
            }
            to[0] = halves(h[0], h[2]);
            to[1] = halves(h[1], h[3]);
        }
    }
}

static void pack_single(const int8_t *w, int32_t filters, int32_t taps, uint32_t *to) {
    for (int32_t f = 0; f < filters; f++, w += taps) {
        for (int32_t i = 0; i < taps; i += 2) {
            *to++ = halves(2 * w[i], i + 1 < taps ? 2 * w[i + 1] : 0);
        }
    }
}

void mn_pack_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op) {
    const int32_t filters = source->window.output.filters;
    const int32_t count = taps_of(&source->window) * source->window.input.filters;
    const uint8_t layout = mn_conv2d_layout(&source->window);
    *op = mn_plain_conv2d(source, weights, channels);
    if (layout == MN_PLAIN || !prepare_channels(source, count, channels)) {
        exact_channels(source, channels);
        memcpy(weights, source->weights, (size_t)(count * filters));
        return;
    }
    op->layout = layout;
    if (layout == MN_SINGLE) {
        pack_single(source->weights, filters, count, weights);
        return;
    }
    pack_paired(source->weights, filters, count, weights);
    if (filters % 2) {
        channels[filters] = (mn_channel){0, 0, 0};
    }
}

void mn_pack_depthwise_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op) {
    *op = mn_plain_conv2d(source, weights, channels);
    exact_channels(source, channels);
    memcpy(weights, source->weights, (size_t)(taps_of(&source->window) * source->window.input.filters));
}
