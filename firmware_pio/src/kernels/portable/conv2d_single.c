/* Convolution of a single input filter: the taps of a position are gathered once, in pairs, for all output filters. */
#include "conv2d.h"
#include "micronas/pack.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef struct {
    uint32_t word[MN_SINGLE_WORDS];
} gathered;

/* Taps over time alone that all lie inside the input, the usual case. */
ALWAYS_INLINE void gather_column(const int8_t *x, int32_t step, int32_t taps, gathered *to) {
    int32_t tap = 0;
    for (; tap + 2 <= taps; tap += 2, x += 2 * step) {
        to->word[tap / 2] = ((uint32_t)x[0] & 0xFFFFU) | ((uint32_t)x[step] << 16);
    }
    if (tap < taps) {
        to->word[tap / 2] = (uint32_t)x[0] & 0xFFFFU;
    }
}

/* Any position: taps outside the input read as zero point. */
static void gather_border(const mn_conv2d *op, const int8_t *input, int32_t time, int32_t sensor, gathered *to) {
    const mn_window *window = &op->window;
    const mn_taps inside = mn_taps_at(window, time, sensor);
    int32_t tap = 0;
    for (int32_t t = 0; t < window->kernel.time; t++) {
        for (int32_t s = 0; s < window->kernel.sensors; s++, tap++) {
            const int in = t >= inside.first_time && t < inside.end_time && s >= inside.first_sensor &&
                           s < inside.end_sensor;
            const int32_t x = in ? input[(time + t) * window->input.sensors + sensor + s] : op->input_zero_point;
            to->word[tap / 2] = tap % 2 ? to->word[tap / 2] | (uint32_t)x << 16 : (uint32_t)x & 0xFFFFU;
        }
    }
}

ALWAYS_INLINE void gather(const mn_conv2d *op, const int8_t *input, int32_t t, int32_t s, gathered *to) {
    const mn_window *window = &op->window;
    const int32_t time = t * window->stride.time - window->pad.time;
    const int32_t sensor = s * window->stride.sensors - window->pad.sensors;
    if (window->kernel.sensors == 1 && time >= 0 && time + window->kernel.time <= window->input.time) {
        gather_column(input + time * window->input.sensors + sensor, window->input.sensors, window->kernel.time, to);
    } else {
        gather_border(op, input, time, sensor, to);
    }
}

/* All filters at two positions, which lie `next` bytes apart in the output. */
ALWAYS_INLINE void run_filters(const mn_conv2d *op, gathered first, gathered second, int32_t words, int8_t *output,
                               int32_t next) {
    const int32_t zero = 2 * op->output_zero_point + 1;
    const mn_word *w = op->weights;
    const mn_channel *channel = op->channels;
    for (const int8_t *const end = output + op->window.output.filters; output != end; output++, channel++) {
        int32_t sum0 = channel->bias, sum1 = channel->bias;
        for (int32_t i = 0; i < words; i++, w++) {
            sum0 = mn_mac2(first.word[i], *w, sum0);
            sum1 = mn_mac2(second.word[i], *w, sum1);
        }
        output[0] = (int8_t)mn_requantize(sum0, channel, zero);
        output[next] = (int8_t)mn_requantize(sum1, channel, zero);
    }
}

/* `words` is a constant at each call, so that the loops over taps unroll. */
ALWAYS_INLINE void run_two(const mn_conv2d *op, const gathered *x, int32_t words, int8_t *output, int32_t next) {
    run_filters(op, x[0], x[1], words, output, next);
}

void mn_conv2d_single(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t count = window->output.time * window->output.sensors, filters = window->output.filters;
    const int32_t words = (window->kernel.time * window->kernel.sensors + 1) / 2;
    int32_t t = 0, s = 0;
    for (int32_t done = 0; done < count; done += 2) {
        gathered x[2];
        /* The last position of an odd number of them is computed twice into one place. */
        const int32_t positions = done + 1 < count ? 2 : 1;
        for (int32_t p = 0; p < positions; p++) {
            gather(op, input, t, s, &x[p]);
            if (++s == window->output.sensors) {
                s = 0;
                t++;
            }
        }
        if (positions == 1) {
            x[1] = x[0];
        }
        int8_t *const out = output + done * filters;
        const int32_t next = (positions - 1) * filters;
        switch (words) {
            case 2: run_two(op, x, 2, out, next); break;
            case 3: run_two(op, x, 3, out, next); break;
            case 4: run_two(op, x, 4, out, next); break;
            default: run_two(op, x, words, out, next); break;
        }
    }
    mn_narrow(output, count * filters, op->activation_min, op->activation_max);
}
