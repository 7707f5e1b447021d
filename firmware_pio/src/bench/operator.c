#include "operator.h"

#include "flash_block.h"
#include "micronas/pack.h"

/* What the backends differ in: how channels lie in flash, and whether an operator needs more scratch memory than there is. */
#ifdef MN_BACKEND_CMSIS_NN
#include "../kernels/cmsis_nn/cmsis_nn.h"

static const mn_cmsis_channels separate = {mn_flash_biases, mn_flash_multipliers, mn_flash_shifts};

static const mn_channel *timed_channels(void) { return (const mn_channel *)(const void *)&separate; }

int mn_has_scratch(const mn_operator *op) {
    switch (op->kind) {
        case MN_CONV2D:
        case MN_FULLY_CONNECTED: return mn_cmsis_conv2d_fits(&op->as.conv2d);
        case MN_DEPTHWISE_CONV2D: return mn_cmsis_depthwise_conv2d_fits(&op->as.conv2d);
        case MN_AVERAGE_POOL2D: return mn_cmsis_pool_fits(&op->as.pool);
        default: return 1;
    }
}
#else
static const mn_channel *timed_channels(void) { return mn_flash_channels; }

int mn_has_scratch(const mn_operator *op) {
    (void)op;
    return 1;
}
#endif

static mn_making time_conv2d(const mn_op_spec *spec, mn_conv2d *op) {
    const mn_window window = spec->window;
    const int depthwise = spec->kind == MN_DEPTHWISE_CONV2D;
    const uint8_t layout = depthwise ? MN_PLAIN : mn_conv2d_layout(&window);
    if (mn_weights(spec) > MN_FLASH_WEIGHT_BYTES || mn_conv2d_channels(&window, layout) > MN_FLASH_CHANNELS ||
        (!depthwise && mn_conv2d_weight_bytes(&window, layout) > MN_FLASH_WEIGHT_BYTES)) {
        return MN_NO_FLASH;
    }
    *op = (mn_conv2d){
        .window = window,
        .input_zero_point = -128,
        .output_zero_point = spec->relu ? -128 : 5,
        .activation_min = INT8_MIN,
        .activation_max = INT8_MAX,
        .layout = layout,
        .weights = mn_flash_weights,
        .channels = timed_channels()};
    return MN_MADE;
}

/* Scales 0.021 and 0.033 summed into 0.047, zero points as after a ReLU. */
static mn_add timed_add(const mn_op_spec *spec) {
    mn_add op = {
        .count = mn_elements(spec->window.input),
        .zero_point1 = -128,
        .zero_point2 = -128,
        .output_zero_point = -128,
        .activation_min = INT8_MIN,
        .activation_max = INT8_MAX,
        .multiplier1 = 1366564203,
        .shift1 = -1,
        .multiplier2 = 1073741824,
        .shift2 = 0,
        .output_multiplier = 1507807241,
        .output_shift = -18};
    mn_prepare_add(&op);
    return op;
}

static mn_mean timed_mean(const mn_op_spec *spec) {
    mn_mean op = {.input = spec->window.input, .input_zero_point = 3, .output_zero_point = -7};
    mn_prepare_mean(&op, 1518500250, 0);
    return op;
}

static mn_pool timed_pool(const mn_op_spec *spec) {
    return (mn_pool){.window = spec->window, .activation_min = INT8_MIN, .activation_max = INT8_MAX};
}

/* Input scale 0.0625. */
static mn_softmax timed_softmax(const mn_op_spec *spec) {
    const mn_shape input = spec->window.input;
    return (mn_softmax){
        .rows = input.time * input.sensors,
        .depth = input.filters,
        .multiplier = 1 << 30,
        .left_shift = 23,
        .diff_min = -248};
}

static mn_making make_timed(const mn_op_spec *spec, mn_operator *op) {
    op->kind = spec->kind;
    switch (spec->kind) {
        case MN_ADD: op->as.add = timed_add(spec); return MN_MADE;
        case MN_MEAN: op->as.mean = timed_mean(spec); return MN_MADE;
        case MN_AVERAGE_POOL2D:
        case MN_MAX_POOL2D: op->as.pool = timed_pool(spec); return MN_MADE;
        case MN_SOFTMAX: op->as.softmax = timed_softmax(spec); return MN_MADE;
        default: return time_conv2d(spec, &op->as.conv2d);
    }
}

mn_making mn_make_timed(const mn_op_spec *spec, mn_operator *op) {
    const mn_making made = make_timed(spec, op);
    return made == MN_MADE && !mn_has_scratch(op) ? MN_NO_RAM : made;
}

void mn_run_operator(const mn_operator *op, const int8_t *input1, const int8_t *input2, int8_t *output) {
    switch (op->kind) {
        case MN_CONV2D: mn_run_conv2d(&op->as.conv2d, input1, output); break;
        case MN_DEPTHWISE_CONV2D: mn_run_depthwise_conv2d(&op->as.conv2d, input1, output); break;
        case MN_ADD: mn_run_add(&op->as.add, input1, input2, output); break;
        case MN_MEAN: mn_run_mean(&op->as.mean, input1, output); break;
        case MN_AVERAGE_POOL2D: mn_run_average_pool2d(&op->as.pool, input1, output); break;
        case MN_MAX_POOL2D: mn_run_max_pool2d(&op->as.pool, input1, output); break;
        case MN_FULLY_CONNECTED: mn_run_fully_connected(&op->as.conv2d, input1, output); break;
        default: mn_run_softmax(&op->as.softmax, input1, output); break;
    }
}
