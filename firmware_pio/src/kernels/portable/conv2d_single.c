/* Convolution of a single input filter: the taps of two positions are gathered once, in pairs, for all output filters. */
#include "conv2d.h"
#include "micronas/pack.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef struct {
    uint32_t word[MN_SINGLE_WORDS];
} gathered;

/* `taps` samples of one sensor, `step` bytes apart. */
ALWAYS_INLINE gathered gather_column(const int8_t *x, int32_t step, int32_t taps) {
    gathered column;
#pragma GCC unroll 8
    for (int32_t tap = 0; tap < taps; tap += 2, x += 2 * step) {
        const uint32_t second = tap + 1 < taps ? (uint32_t)x[step] << 16 : 0;
        column.word[tap / 2] = ((uint32_t)x[0] & 0xFFFFU) | second;
    }
    return column;
}

/* All taps at any position: those outside the input read as zero point. */
static gathered gather_border(const mn_conv2d *op, const int8_t *input, int32_t time, int32_t sensor) {
    const mn_window *window = &op->window;
    const mn_taps inside = mn_taps_at(window, time, sensor);
    gathered taps = {{0}};
    int32_t tap = 0;
    for (int32_t t = 0; t < window->kernel.time; t++) {
        for (int32_t s = 0; s < window->kernel.sensors; s++, tap++) {
            const int in = t >= inside.first_time && t < inside.end_time && s >= inside.first_sensor &&
                           s < inside.end_sensor;
            const int32_t x = in ? input[(time + t) * window->input.sensors + sensor + s] : op->input_zero_point;
            taps.word[tap / 2] |= tap % 2 ? (uint32_t)x << 16 : (uint32_t)x & 0xFFFFU;
        }
    }
    return taps;
}

/* All filters at two positions, which lie `next` bytes apart in the output. `words` is a constant where speed matters: the
 * loops over taps unroll into registers. */
ALWAYS_INLINE void run_filters(const mn_conv2d *op, const gathered *first, const gathered *second, int32_t words,
                               int8_t *output, int32_t next) {
    const int32_t zero = 2 * op->output_zero_point + 1;
    const mn_word *w = op->weights;
    const mn_channel *channel = op->channels;
    for (const int8_t *const end = output + op->window.output.filters; output != end; output++, channel++) {
        const mn_channel scale = *channel;
        int32_t sum0 = scale.bias, sum1 = scale.bias;
#pragma GCC unroll 8
        for (int32_t i = 0; i < words; i++) {
            sum0 = mn_mac2(first->word[i], w[i], sum0);
            sum1 = mn_mac2(second->word[i], w[i], sum1);
        }
        w += words;
        sum0 = mn_requantize(sum0, &scale, zero);
        sum1 = mn_requantize(sum1, &scale, zero);
        output[0] = (int8_t)sum0;
        output[next] = (int8_t)sum1;
    }
}

ALWAYS_INLINE void run_columns(const mn_conv2d *op, const int8_t *x0, const int8_t *x1, int32_t taps, int8_t *output,
                               int32_t next) {
    const int32_t step = op->window.input.sensors;
    const gathered first = gather_column(x0, step, taps), second = gather_column(x1, step, taps);
    run_filters(op, &first, &second, (taps + 1) / 2, output, next);
}

/* Kernels over time alone, of the usual lengths, away from the border. Separate functions, each with all registers to
 * itself. */
typedef void column_kernel(const mn_conv2d *op, const int8_t *x0, const int8_t *x1, int8_t *output, int32_t next);

static void columns_of_3(const mn_conv2d *op, const int8_t *x0, const int8_t *x1, int8_t *output, int32_t next) {
    run_columns(op, x0, x1, 3, output, next);
}
static void columns_of_5(const mn_conv2d *op, const int8_t *x0, const int8_t *x1, int8_t *output, int32_t next) {
    run_columns(op, x0, x1, 5, output, next);
}
static void columns_of_7(const mn_conv2d *op, const int8_t *x0, const int8_t *x1, int8_t *output, int32_t next) {
    run_columns(op, x0, x1, 7, output, next);
}

static column_kernel *column_kernel_for(mn_pair kernel) {
    if (kernel.sensors != 1) {
        return NULL;
    }
    return kernel.time == 3 ? columns_of_3 : kernel.time == 5 ? columns_of_5 : kernel.time == 7 ? columns_of_7 : NULL;
}

typedef struct {
    int32_t t, s;         /* output coordinates */
    int32_t time, sensor; /* input coordinates of tap (0, 0) */
} position;

static position next_position(const mn_window *window, position at) {
    at.s++;
    at.sensor += window->stride.sensors;
    if (at.s == window->output.sensors) {
        at.s = 0;
        at.sensor = -window->pad.sensors;
        at.t++;
        at.time += window->stride.time;
    }
    return at;
}

/* Whether a column of taps starts and ends inside the input; sensors need no look, a kernel of one has no padding there. */
static int is_inside(const mn_window *window, position at) {
    return at.time >= 0 && at.time + window->kernel.time <= window->input.time;
}

void mn_conv2d_single(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t count = window->output.time * window->output.sensors, filters = window->output.filters;
    const int32_t sensors = window->input.sensors;
    column_kernel *const columns = column_kernel_for(window->kernel);
    position first = {.time = -window->pad.time, .sensor = -window->pad.sensors};
    for (int32_t done = 0; done < count; done += 2) {
        /* The last position of an odd number of them is computed twice into one place. */
        const int alone = done + 1 == count;
        const position second = alone ? first : next_position(window, first);
        const int32_t next = alone ? 0 : filters;
        int8_t *const out = output + done * filters;
        if (columns != NULL && is_inside(window, first) && is_inside(window, second)) {
            const int8_t *const x0 = input + first.time * sensors + first.sensor;
            columns(op, x0, input + second.time * sensors + second.sensor, out, next);
        } else {
            const gathered taps0 = gather_border(op, input, first.time, first.sensor);
            const gathered taps1 = gather_border(op, input, second.time, second.sensor);
            run_filters(op, &taps0, &taps1, (window->kernel.time * window->kernel.sensors + 1) / 2, out, next);
        }
        first = next_position(window, second);
    }
    mn_narrow(output, count * filters, op->activation_min, op->activation_max);
}
