/* Operators with random parameters: the same seed makes the same one on every machine. One draw per statement: C leaves the
 * order within an expression or an initialiser to the compiler. */
#include "crc32.h"
#include "micronas/pack.h"
#include "operator.h"

typedef struct {
    uint32_t state;
} random_source;

/* Xorshift of 32 bits (Marsaglia 2003); the state is never zero. */
static uint32_t draw(random_source *random) {
    uint32_t x = random->state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return random->state = x;
}

static int32_t between(random_source *random, int32_t lowest, int32_t highest) {
    return lowest + (int32_t)(draw(random) % (uint32_t)(highest - lowest + 1));
}

static int one_in(random_source *random, int32_t n) { return between(random, 1, n) == 1; }

static int16_t zero_point(random_source *random) {
    return (int16_t)(one_in(random, 4) ? (one_in(random, 2) ? -128 : 127) : between(random, -128, 127));
}

static int32_t multiplier_between_half_and_one(random_source *random) { return (int32_t)(1U << 30 | draw(random) >> 2); }

/* Takes room for `bytes` from the arena, NULL when it is used up. */
static void *take(mn_arena *arena, size_t bytes) {
    const size_t rounded = (bytes + 15) & ~(size_t)15;
    if (rounded < bytes || rounded > arena->bytes) {
        return NULL;
    }
    int8_t *const start = arena->start;
    arena->start += rounded;
    arena->bytes -= rounded;
    return start;
}

static void fill(random_source *random, int8_t *values, int32_t count, int32_t lowest) {
    const int saturated = one_in(random, 8);
    for (int32_t i = 0; i < count; i++) {
        values[i] = (int8_t)(saturated ? (one_in(random, 2) ? lowest : INT8_MAX) : between(random, lowest, INT8_MAX));
    }
}

static void draw_channels(random_source *random, int32_t filters, int32_t *bias, int32_t *multiplier, int32_t *shift) {
    const int32_t reach = one_in(random, 16) ? 30 : between(random, 1, 17);
    const int extreme = one_in(random, 6);
    for (int32_t f = 0; f < filters; f++) {
        bias[f] = between(random, -(1 << reach) + 1, (1 << reach) - 1);
        multiplier[f] = multiplier_between_half_and_one(random);
        shift[f] = extreme ? between(random, -31, 3) : between(random, -13, -4);
    }
}

static mn_making check_conv2d(const mn_op_spec *spec, random_source *random, mn_arena *arena, mn_conv2d *op) {
    const mn_window window = spec->window;
    const int depthwise = spec->kind == MN_DEPTHWISE_CONV2D;
    const int32_t filters = window.output.filters;
    const int64_t count = mn_weights(spec);
    if (count > (int64_t)arena->bytes) {
        return MN_NO_RAM;
    }
    const uint8_t layout = depthwise ? MN_PLAIN : mn_conv2d_layout(&window);
    const size_t packed = depthwise ? (size_t)count : mn_conv2d_weight_bytes(&window, layout);
    int8_t *const weights = take(arena, (size_t)count);
    int32_t *const parameters = take(arena, 3 * sizeof(int32_t) * (size_t)filters);
    void *const packed_weights = take(arena, packed > (size_t)count ? packed : (size_t)count);
    mn_channel *const channels = take(arena, sizeof(mn_channel) * (size_t)(filters + 1));
    if (weights == NULL || parameters == NULL || packed_weights == NULL || channels == NULL) {
        return MN_NO_RAM;
    }
    const int16_t input_zero = zero_point(random);
    const int16_t output_zero = zero_point(random);
    const int32_t lowest = one_in(random, 16) ? -128 : -127;
    fill(random, weights, (int32_t)count, lowest);
    draw_channels(random, filters, parameters, parameters + filters, parameters + 2 * filters);
    const mn_conv2d_source source = {
        .window = window,
        .input_zero_point = input_zero,
        .output_zero_point = output_zero,
        .activation_min = (int8_t)(spec->relu ? output_zero : INT8_MIN),
        .activation_max = INT8_MAX,
        .weights = weights,
        .bias = parameters,
        .multiplier = parameters + filters,
        .shift = parameters + 2 * filters};
    if (depthwise) {
        mn_pack_depthwise_conv2d(&source, packed_weights, channels, op);
    } else {
        mn_pack_conv2d(&source, packed_weights, channels, op);
    }
    return MN_MADE;
}

static mn_add check_add(const mn_op_spec *spec, random_source *random) {
    mn_add op = {
        .count = mn_elements(spec->window.input),
        .activation_min = INT8_MIN,
        .activation_max = INT8_MAX,
        .multiplier1 = 1 << 30,
        .multiplier2 = 1 << 30,
        .output_multiplier = 1 << 30};
    op.zero_point1 = zero_point(random);
    op.zero_point2 = zero_point(random);
    op.output_zero_point = zero_point(random);
    op.output_shift = between(random, -20, -16);
    /* Else all scales are powers of two, where results fall exactly between two integers. */
    if (!one_in(random, 4)) {
        op.multiplier1 = multiplier_between_half_and_one(random);
        op.shift1 = between(random, -4, -1);
        op.output_multiplier = multiplier_between_half_and_one(random);
    }
    mn_prepare_add(&op);
    return op;
}

static mn_mean check_mean(const mn_op_spec *spec, random_source *random) {
    mn_mean op = {.input = spec->window.input};
    op.input_zero_point = zero_point(random);
    op.output_zero_point = zero_point(random);
    const int32_t multiplier = multiplier_between_half_and_one(random);
    mn_prepare_mean(&op, multiplier, between(random, -6, 4));
    return op;
}

static mn_softmax check_softmax(const mn_op_spec *spec, random_source *random) {
    const mn_shape input = spec->window.input;
    mn_softmax op = {.rows = input.time * input.sensors, .depth = input.filters};
    op.left_shift = between(random, 14, 29);
    op.multiplier = multiplier_between_half_and_one(random);
    op.diff_min = -(int32_t)((INT64_C(31) << 26) >> op.left_shift);
    return op;
}

static mn_making make(const mn_op_spec *spec, random_source *random, mn_arena *arena, mn_operator *op) {
    op->kind = spec->kind;
    switch (spec->kind) {
        case MN_ADD: op->as.add = check_add(spec, random); return MN_MADE;
        case MN_MEAN: op->as.mean = check_mean(spec, random); return MN_MADE;
        case MN_AVERAGE_POOL2D:
        case MN_MAX_POOL2D:
            op->as.pool = (mn_pool){spec->window, (int8_t)(spec->relu ? zero_point(random) : INT8_MIN), INT8_MAX};
            return MN_MADE;
        case MN_SOFTMAX: op->as.softmax = check_softmax(spec, random); return MN_MADE;
        default: return check_conv2d(spec, random, arena, &op->as.conv2d);
    }
}

mn_making mn_check_operator(const mn_op_spec *spec, uint32_t seed, mn_arena arena, uint32_t *crc) {
    random_source random = {seed * 2654435761U | 1U};
    const int32_t inputs = mn_elements(spec->window.input), outputs = mn_elements(spec->window.output);
    mn_operator op;
    const mn_making made = make(spec, &random, &arena, &op);
    int8_t *const input1 = take(&arena, (size_t)inputs);
    int8_t *const input2 = spec->kind == MN_ADD ? take(&arena, (size_t)inputs) : input1;
    int8_t *const output = take(&arena, (size_t)outputs);
    if (made == MN_MADE && !mn_has_scratch(&op)) {
        return MN_NO_RAM;
    }
    if (made != MN_MADE || input1 == NULL || input2 == NULL || output == NULL) {
        return made != MN_MADE ? made : MN_NO_RAM;
    }
    fill(&random, input1, inputs, INT8_MIN);
    if (input2 != input1) {
        fill(&random, input2, inputs, INT8_MIN);
    }
    mn_run_operator(&op, input1, input2, output);
    *crc = mn_crc32(output, (size_t)outputs);
    return MN_MADE;
}
