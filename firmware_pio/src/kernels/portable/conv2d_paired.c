/* Convolution with C_in a multiple of 4: two positions by two filters per pass, no unpacking but one SXTB16 per word.
 *
 * A weight halfword holds 256 * b + a for the filters a (even) and b (odd). SMLAD with the whole halfwords sums
 * 256 * B + A over the taps, SMLAD with their sign-extended low bytes sums A; B = (that - A) / 256. Modulo 2^32 this is
 * exact while |B| < 2^23, that is for 512 taps of |x| <= 128, |w| <= 127; longer sums are drained in between.
 * Inputs are not shifted by their zero point: the bias takes care of it, and taps outside the input count as zero point.
 */
#include "conv2d.h"
#include "paired_step.h"

enum { DRAIN_TAPS = 512 };

/* Where a pass reads: `rows` runs of `run` input bytes with `input_gap` bytes between them; a run's weights, two words per
 * four bytes, lie in a row, with `weight_gap` words to those of the next run. */
typedef struct {
    const int8_t *input;
    const mn_word *weights;
    intptr_t next; /* bytes from the first position's input to the second's */
    int32_t rows, run, input_gap, weight_gap;
} stretch;

typedef struct {
    int32_t even[2], odd[2]; /* sums of two filters, by position */
} totals;

/* Constant for one operator. */
typedef struct {
    const mn_conv2d *op;
    int32_t filters;      /* C_in */
    int32_t sensor_bytes; /* input bytes of one time step */
    int32_t pair_words;   /* weights of two output filters */
    int32_t zero;         /* for mn_requantize */
} layer;

typedef struct {
    int32_t t, s;         /* output coordinates */
    int32_t time, sensor; /* input coordinates of tap (0, 0) */
    mn_taps taps;
} position;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void drain(const mn_paired_sums *sums, totals *total, int positions) {
    for (int p = 0; p < positions; p++) {
        total->even[p] += sums->low[p];
        total->odd[p] += (int32_t)((uint32_t)sums->both[p] - (uint32_t)sums->low[p]) >> 8;
    }
}

ALWAYS_INLINE void sum_stretch(const stretch *where, totals *total, int positions) {
    const int8_t *x = where->input;
    const mn_word *w = where->weights;
    mn_paired_sums sums = {{0, 0}, {0, 0}};
    for (int32_t row = where->rows;;) {
        const int8_t *const end = x + where->run;
        if (positions == 2) {
            mn_two_positions(&x, &w, end, where->next, &sums);
        } else {
            mn_one_position(&x, &w, end, &sums);
        }
        if (--row == 0) {
            break;
        }
        x += where->input_gap;
        w += where->weight_gap;
    }
    drain(&sums, total, positions);
}

/* A stretch of more than DRAIN_TAPS taps, in parts. */
static __attribute__((noinline)) void sum_long(const stretch *where, totals *total, int positions) {
    for (int32_t row = 0; row < where->rows; row++) {
        for (int32_t done = 0; done < where->run; done += DRAIN_TAPS) {
            stretch part = *where;
            part.input += row * (where->run + where->input_gap) + done;
            part.weights += row * (where->run / 2 + where->weight_gap) + done / 2;
            part.rows = 1;
            part.run = where->run - done < DRAIN_TAPS ? where->run - done : DRAIN_TAPS;
            positions == 2 ? sum_stretch(&part, total, 2) : sum_stretch(&part, total, 1);
        }
    }
}

/* Adds zero point * weight over the taps outside the input: the prepared bias subtracted it for every tap. */
static void sum_padding(const layer *l, const mn_word *weights, mn_taps inside, totals *total) {
    const mn_pair kernel = l->op->window.kernel;
    const uint32_t zeros = ((uint32_t)l->op->input_zero_point & 0xFFFFU) * 0x10001U;
    const int32_t tap_words = l->filters / 2;
    for (int32_t t = 0; t < kernel.time; t++) {
        for (int32_t s = 0; s < kernel.sensors; s++, weights += tap_words) {
            if (t >= inside.first_time && t < inside.end_time && s >= inside.first_sensor && s < inside.end_sensor) {
                continue;
            }
            for (int32_t done = 0; done < tap_words; done += DRAIN_TAPS / 2) {
                const mn_word *w = weights + done;
                const mn_word *const end = weights + (tap_words - done < DRAIN_TAPS / 2 ? tap_words : done + DRAIN_TAPS / 2);
                mn_paired_sums sums = {{0, 0}, {0, 0}};
                for (; w != end; w++) {
                    sums.low[0] = mn_mac2(zeros, mn_even_bytes(*w), sums.low[0]);
                    sums.both[0] = mn_mac2(zeros, *w, sums.both[0]);
                }
                sums.low[1] = sums.low[0];
                sums.both[1] = sums.both[0];
                drain(&sums, total, 2);
            }
        }
    }
}

ALWAYS_INLINE void store(const layer *l, const mn_channel *channel, const int32_t *sums, int positions, int8_t *output,
                         intptr_t output_next) {
    for (int p = 0; p < positions; p++) {
        output[p * output_next] = (int8_t)mn_requantize(channel->bias + 2 * sums[p], channel, l->zero);
    }
}

/* All filters at one position, or at two that see the same taps. */
ALWAYS_INLINE void run_positions(const layer *l, mn_taps taps, stretch where, int positions, int8_t *output,
                                 intptr_t output_next) {
    const mn_window *window = &l->op->window;
    const mn_channel *channel = l->op->channels;
    const mn_word *weights = l->op->weights;
    const int32_t all_taps = window->kernel.time * window->kernel.sensors * l->filters;
    const int padded = where.rows * where.run != all_taps;
    const int is_long = where.rows * where.run > DRAIN_TAPS;
    const intptr_t skipped = where.weights - weights;
    for (int32_t f = window->output.filters; f > 0; f -= 2, channel += 2, output += 2, weights += l->pair_words) {
        totals total = {{0, 0}, {0, 0}};
        where.weights = weights + skipped;
        if (is_long) {
            sum_long(&where, &total, positions);
        } else {
            sum_stretch(&where, &total, positions);
        }
        if (padded) {
            sum_padding(l, weights, taps, &total);
        }
        store(l, channel, total.even, positions, output, output_next);
        if (f > 1) {
            store(l, channel + 1, total.odd, positions, output + 1, output_next);
        }
    }
}

static stretch stretch_at(const layer *l, const position *at, const int8_t *input) {
    const mn_window *window = &l->op->window;
    const mn_taps taps = at->taps;
    const int32_t kernel_row = window->kernel.sensors * l->filters;
    const int32_t run = (taps.end_sensor - taps.first_sensor) * l->filters;
    return (stretch){
        .input = input + (at->time + taps.first_time) * l->sensor_bytes + (at->sensor + taps.first_sensor) * l->filters,
        .weights = (const mn_word *)l->op->weights + (taps.first_time * kernel_row + taps.first_sensor * l->filters) / 2,
        .rows = taps.end_time - taps.first_time,
        .run = run,
        .input_gap = l->sensor_bytes - run,
        .weight_gap = (kernel_row - run) / 2};
}

/* Steps through the output. Neighbours along an axis without padding see the same taps and can share a pass: kernels over
 * sensors alone go along time, all others along the sensors. */
static position next_position(const layer *l, position at) {
    const mn_window *window = &l->op->window;
    if (window->kernel.time == 1) {
        if (++at.t == window->output.time) {
            at.t = 0;
            at.s++;
        }
    } else if (++at.s == window->output.sensors) {
        at.s = 0;
        at.t++;
    }
    at.time = at.t * window->stride.time - window->pad.time;
    at.sensor = at.s * window->stride.sensors - window->pad.sensors;
    at.taps = mn_taps_at(window, at.time, at.sensor);
    return at;
}

static position start_position(const mn_window *window) {
    position at = {.time = -window->pad.time, .sensor = -window->pad.sensors};
    at.taps = mn_taps_at(window, at.time, at.sensor);
    return at;
}

void mn_conv2d_paired(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t filters = window->input.filters, count = window->output.time * window->output.sensors;
    const layer l = {
        .op = op,
        .filters = filters,
        .sensor_bytes = window->input.sensors * filters,
        .pair_words = window->kernel.time * window->kernel.sensors * filters / 2,
        .zero = 2 * op->output_zero_point + 1};
    position at = start_position(window);
    for (int32_t done = 0; done < count;) {
        const position after = next_position(&l, at);
        stretch where = stretch_at(&l, &at, input);
        int8_t *const out = output + (at.t * window->output.sensors + at.s) * window->output.filters;
        if (done + 1 < count && mn_taps_equal(at.taps, after.taps)) {
            const int32_t moved = (after.t - at.t) * window->output.sensors + after.s - at.s;
            where.next = (after.time - at.time) * l.sensor_bytes + (after.sensor - at.sensor) * filters;
            run_positions(&l, at.taps, where, 2, out, moved * window->output.filters);
            at = next_position(&l, after);
            done += 2;
        } else {
            run_positions(&l, at.taps, where, 1, out, 0);
            at = after;
            done += 1;
        }
    }
    mn_narrow(output, count * window->output.filters, op->activation_min, op->activation_max);
}
