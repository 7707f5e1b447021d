/* Convolution with C_in a multiple of 4: two positions by two filters per pass, no unpacking but one SXTB16 per word.
 *
 * A weight halfword holds 256 * b + a for the filters a (even) and b (odd). SMLAD with the whole halfwords sums
 * 256 * B + A over the taps, SMLAD with their sign-extended low bytes sums A; B = (that - A) / 256. Modulo 2^32 this is
 * exact while |B| < 2^23, that is for 512 taps of |x| <= 128, |w| <= 127; longer sums are drained in between.
 * Inputs are not shifted by their zero point: the bias takes care of it, and taps outside the input count as zero point.
 */
#include "conv2d.h"
#include "paired_step.h"

enum {
    DRAIN_TAPS = 512,
    BLOCK = 64 /* filters at a time, so that their biases at a border fit on the stack */
};

/* Where a pass reads: runs of `run` input bytes with `input_gap` bytes between them, `span` bytes from the first to the end
 * of the last; a run's weights, two words per four bytes, lie in a row, with `weight_gap` words to those of the next run. */
typedef struct {
    const int8_t *input;
    intptr_t next; /* bytes from the first position's input to the second's */
    int32_t run, span, input_gap, weight_gap;
    int32_t first_weight; /* words from the start of a pair of filters */
    int32_t taps;
} stretch;

/* A block of output filters. */
typedef struct {
    const mn_window *window;
    int32_t sensor_bytes; /* input bytes of one time step */
    int32_t all_taps;     /* of one filter */
    int32_t pair_words;   /* weights of two output filters */
    int32_t zero;         /* for mn_requantize */
    int16_t input_zero_point;
    int32_t filters; /* in this block */
    const mn_word *weights;
    const mn_channel *channels;
} block;

typedef struct {
    int32_t t, s;         /* output coordinates */
    int32_t time, sensor; /* input coordinates of tap (0, 0) */
    mn_taps taps;
} position;

/* How a stretch is walked; a constant wherever it is used. */
typedef enum { ONE_POSITION, TWO_POSITIONS, TWO_POSITIONS_BY_16 } manner;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE mn_paired_sums sum_stretch(const stretch *where, const mn_word *w, manner how) {
    const int8_t *x = where->input;
    const int8_t *const last = x + where->span;
    mn_paired_sums sums = {{0, 0}, {0, 0}};
    for (;;) {
        const int8_t *const end = x + where->run;
        switch (how) {
            case ONE_POSITION: mn_one_position(&x, &w, end, &sums); break;
            case TWO_POSITIONS: mn_two_positions(&x, &w, end, where->next, &sums); break;
            case TWO_POSITIONS_BY_16: mn_two_positions_by_16(&x, &w, end, where->next, &sums); break;
        }
        if (x == last) {
            return sums;
        }
        x += where->input_gap;
        w += where->weight_gap;
    }
}

ALWAYS_INLINE int32_t even_filter(const mn_paired_sums *sums, int p) { return sums->low[p]; }

ALWAYS_INLINE int32_t odd_filter(const mn_paired_sums *sums, int p) {
    return (int32_t)((uint32_t)sums->both[p] - (uint32_t)sums->low[p]) >> 8;
}

ALWAYS_INLINE int8_t scaled(mn_channel channel, int32_t sum, int32_t zero) {
    return (int8_t)mn_requantize(channel.bias + 2 * sum, &channel, zero);
}

/* All pairs of filters at one position or two, at most DRAIN_TAPS taps: the usual case. */
ALWAYS_INLINE void run_pairs(const block *b, const stretch *where, const mn_channel *channels, manner how, int8_t *output,
                             intptr_t output_next) {
    const mn_word *weights = b->weights + where->first_weight;
    const int8_t *const end = output + b->filters / 2 * 2;
    for (; output != end; output += 2, channels += 2, weights += b->pair_words) {
        const mn_paired_sums sums = sum_stretch(where, weights, how);
        /* Copies: a store of int8_t might change what the pointers refer to. */
        const mn_channel even = channels[0], odd = channels[1];
        const int32_t zero = b->zero;
        const int8_t even0 = scaled(even, even_filter(&sums, 0), zero), odd0 = scaled(odd, odd_filter(&sums, 0), zero);
        if (how != ONE_POSITION) {
            const int8_t even1 = scaled(even, even_filter(&sums, 1), zero), odd1 = scaled(odd, odd_filter(&sums, 1), zero);
            output[output_next] = even1;
            output[output_next + 1] = odd1;
        }
        output[0] = even0;
        output[1] = odd0;
    }
}

/* Separate functions, each with all registers to itself. */
static __attribute__((noinline)) void run_one(const block *b, const stretch *where, const mn_channel *channels,
                                              int8_t *output) {
    run_pairs(b, where, channels, ONE_POSITION, output, 0);
}
static __attribute__((noinline)) void run_two(const block *b, const stretch *where, const mn_channel *channels,
                                              int8_t *output, intptr_t next) {
    run_pairs(b, where, channels, TWO_POSITIONS, output, next);
}
static __attribute__((noinline)) void run_two_by_16(const block *b, const stretch *where, const mn_channel *channels,
                                                    int8_t *output, intptr_t next) {
    run_pairs(b, where, channels, TWO_POSITIONS_BY_16, output, next);
}

/* Sums of one pair of filters over a stretch of any length, drained after every DRAIN_TAPS taps. */
typedef struct {
    int32_t even[2], odd[2]; /* by position */
} totals;

static totals sum_long(const stretch *where, const mn_word *weights, int positions) {
    const int8_t *x = where->input;
    const int8_t *const last = x + where->span;
    totals total = {{0, 0}, {0, 0}};
    for (;; x += where->input_gap, weights += where->weight_gap) {
        for (int32_t left = where->run; left > 0;) {
            const int32_t taps = left < DRAIN_TAPS ? left : DRAIN_TAPS;
            const stretch part = {.input = x, .next = where->next, .run = taps, .span = taps};
            const mn_paired_sums sums = positions == 1  ? sum_stretch(&part, weights, ONE_POSITION)
                                        : taps % 16 == 0 ? sum_stretch(&part, weights, TWO_POSITIONS_BY_16)
                                                         : sum_stretch(&part, weights, TWO_POSITIONS);
            for (int p = 0; p < positions; p++) {
                total.even[p] += even_filter(&sums, p);
                total.odd[p] += odd_filter(&sums, p);
            }
            x += taps;
            weights += taps / 2;
            left -= taps;
        }
        if (x == last) {
            return total;
        }
    }
}

/* Filters from `first` on; a last one may be without a partner. */
static void run_long(const block *b, const stretch *where, const mn_channel *channels, int32_t first, int positions,
                     int8_t *output, intptr_t output_next) {
    for (int32_t f = first; f < b->filters; f += 2) {
        const mn_word *weights = b->weights + f / 2 * b->pair_words + where->first_weight;
        const totals total = sum_long(where, weights, positions);
        for (int p = 0; p < positions; p++) {
            int8_t *const to = output + p * output_next + f;
            to[0] = scaled(channels[f], total.even[p], b->zero);
            if (f + 1 < b->filters) {
                to[1] = scaled(channels[f + 1], total.odd[p], b->zero);
            }
        }
    }
}

static void run_positions(const block *b, const stretch *where, const mn_channel *channels, int positions, int8_t *output,
                          intptr_t output_next) {
    int32_t done = 0;
    if (where->taps <= DRAIN_TAPS) {
        if (positions == 1) {
            run_one(b, where, channels, output);
        } else if (where->run % 16 == 0) {
            run_two_by_16(b, where, channels, output, output_next);
        } else {
            run_two(b, where, channels, output, output_next);
        }
        done = b->filters / 2 * 2;
    }
    if (done < b->filters) {
        run_long(b, where, channels, done, positions, output, output_next);
    }
}

/* Adds the weights of one tap of a pair of filters, DRAIN_TAPS at a time. */
static void sum_tap(const mn_word *w, int32_t words, int32_t *even, int32_t *odd) {
    const uint32_t ones = 0x00010001U;
    while (words > 0) {
        const int32_t part = words < DRAIN_TAPS / 2 ? words : DRAIN_TAPS / 2;
        mn_paired_sums sums = {{0, 0}, {0, 0}};
        for (const mn_word *const end = w + part; w != end; w += 2) {
            const uint32_t w0 = w[0], w1 = w[1];
            sums.low[0] = mn_mac2(ones, mn_even_bytes(w1), mn_mac2(ones, mn_even_bytes(w0), sums.low[0]));
            sums.both[0] = mn_mac2(ones, w1, mn_mac2(ones, w0, sums.both[0]));
        }
        *even += even_filter(&sums, 0);
        *odd += odd_filter(&sums, 0);
        words -= part;
    }
}

/* The channels for positions that see `inside` only. The prepared bias subtracts zero point * weight for every tap; here
 * those outside the input get it back. */
static void border_channels(const block *b, mn_taps inside, mn_channel *channels) {
    const mn_pair kernel = b->window->kernel;
    const int32_t tap_words = b->window->input.filters / 2;
    for (int32_t f = 0; f < b->filters; f += 2) {
        const mn_word *w = b->weights + f / 2 * b->pair_words;
        int32_t even = 0, odd = 0;
        for (int32_t t = 0; t < kernel.time; t++) {
            const int row_inside = t >= inside.first_time && t < inside.end_time;
            for (int32_t s = 0; s < kernel.sensors; s++, w += tap_words) {
                if (!row_inside || s < inside.first_sensor || s >= inside.end_sensor) {
                    sum_tap(w, tap_words, &even, &odd);
                }
            }
        }
        channels[f] = b->channels[f];
        channels[f].bias += 2 * b->input_zero_point * even;
        channels[f + 1] = b->channels[f + 1];
        channels[f + 1].bias += 2 * b->input_zero_point * odd;
    }
}

static stretch stretch_at(const block *b, const position *at, const int8_t *input) {
    const mn_taps taps = at->taps;
    const int32_t filters = b->window->input.filters, kernel_row = b->window->kernel.sensors * filters;
    const int32_t rows = taps.end_time - taps.first_time, run = (taps.end_sensor - taps.first_sensor) * filters;
    return (stretch){
        .input = input + (at->time + taps.first_time) * b->sensor_bytes + (at->sensor + taps.first_sensor) * filters,
        .run = run,
        .span = (rows - 1) * b->sensor_bytes + run,
        .input_gap = b->sensor_bytes - run,
        .weight_gap = (kernel_row - run) / 2,
        .first_weight = (taps.first_time * kernel_row + taps.first_sensor * filters) / 2,
        .taps = rows * run};
}

/* Steps through the output. Neighbours along an axis without padding see the same taps and can share a pass: kernels over
 * sensors alone go along time, all others along the sensors. */
static position next_position(const mn_window *window, position at) {
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

static void run_block(const block *b, const int8_t *input, int8_t *output) {
    const mn_window *window = b->window;
    const int32_t count = window->output.time * window->output.sensors, filters = window->output.filters;
    mn_channel border[BLOCK];
    mn_taps border_taps = {-1, -1, -1, -1};
    position at = start_position(window);
    for (int32_t done = 0; done < count;) {
        const position after = next_position(window, at);
        const int shared = done + 1 < count && mn_taps_equal(at.taps, after.taps);
        stretch where = stretch_at(b, &at, input);
        const mn_channel *channels = b->channels;
        if (where.taps != b->all_taps) {
            if (!mn_taps_equal(at.taps, border_taps)) {
                border_channels(b, at.taps, border);
                border_taps = at.taps;
            }
            channels = border;
        }
        int8_t *const out = output + (at.t * window->output.sensors + at.s) * filters;
        if (shared) {
            const int32_t moved = (after.t - at.t) * window->output.sensors + after.s - at.s;
            where.next = (after.time - at.time) * b->sensor_bytes + (after.sensor - at.sensor) * window->input.filters;
            run_positions(b, &where, channels, 2, out, moved * filters);
            at = next_position(window, after);
            done += 2;
        } else {
            run_positions(b, &where, channels, 1, out, 0);
            at = after;
            done += 1;
        }
    }
}

void mn_conv2d_paired(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const mn_window *window = &op->window;
    const int32_t filters = window->output.filters;
    const int32_t taps = window->kernel.time * window->kernel.sensors * window->input.filters;
    block b = {
        .window = window,
        .sensor_bytes = window->input.sensors * window->input.filters,
        .all_taps = taps,
        .pair_words = taps / 2,
        .zero = 2 * op->output_zero_point + 1,
        .input_zero_point = op->input_zero_point};
    for (int32_t first = 0; first < filters; first += BLOCK) {
        b.filters = filters - first < BLOCK ? filters - first : BLOCK;
        b.weights = (const mn_word *)op->weights + first / 2 * b.pair_words;
        b.channels = op->channels + first;
        run_block(&b, input, output + first);
    }
    mn_narrow(output, window->output.time * window->output.sensors * filters, op->activation_min, op->activation_max);
}
