/* The kernels of micronas/kernels.h by CMSIS-NN's public functions. Its height is our time, its width our sensors. */
#include <arm_nnfunctions.h>

#include "cmsis_nn.h"

#ifndef MN_CMSIS_NN_VERSION
#define MN_CMSIS_NN_VERSION "unknown"
#endif

static _Alignas(8) int8_t scratch[MN_CMSIS_SCRATCH_BYTES];

const char *mn_backend(void) { return "cmsis-nn/" MN_CMSIS_NN_VERSION; }

static cmsis_nn_dims dims(mn_shape shape) { return (cmsis_nn_dims){1, shape.time, shape.sensors, shape.filters}; }

static cmsis_nn_tile tile(mn_pair pair) { return (cmsis_nn_tile){.w = pair.sensors, .h = pair.time}; }

static cmsis_nn_context context(void) { return (cmsis_nn_context){scratch, sizeof scratch}; }

/* Everything CMSIS-NN wants to know about a convolution. */
typedef struct {
    cmsis_nn_dims input, filter, bias, output;
    cmsis_nn_activation activation;
    cmsis_nn_per_channel_quant_params scales;
    const int32_t *biases;
} translated;

static translated translate(const mn_conv2d *op, int depthwise) {
    const mn_window *window = &op->window;
    const mn_cmsis_channels *channels = (const mn_cmsis_channels *)(const void *)op->channels;
    const int32_t filters = window->output.filters;
    return (translated){
        .input = dims(window->input),
        .filter = {depthwise ? 1 : filters, window->kernel.time, window->kernel.sensors,
                   depthwise ? filters : window->input.filters},
        .bias = {1, 1, 1, filters},
        .output = dims(window->output),
        .activation = {op->activation_min, op->activation_max},
        /* Its parameters are not const, its functions only read them. */
        .scales = {(int32_t *)(uintptr_t)channels->multiplier, (int32_t *)(uintptr_t)channels->shift},
        .biases = channels->bias};
}

static cmsis_nn_conv_params conv_params(const mn_conv2d *op) {
    return (cmsis_nn_conv_params){
        .input_offset = -op->input_zero_point,
        .output_offset = op->output_zero_point,
        .stride = tile(op->window.stride),
        .padding = tile(op->window.pad),
        .dilation = {1, 1},
        .activation = {op->activation_min, op->activation_max}};
}

static cmsis_nn_dw_conv_params depthwise_params(const mn_conv2d *op) {
    return (cmsis_nn_dw_conv_params){
        .input_offset = -op->input_zero_point,
        .output_offset = op->output_zero_point,
        .ch_mult = 1,
        .stride = tile(op->window.stride),
        .padding = tile(op->window.pad),
        .dilation = {1, 1},
        .activation = {op->activation_min, op->activation_max}};
}

int mn_cmsis_conv2d_fits(const mn_conv2d *op) {
    const translated t = translate(op, 0);
    const cmsis_nn_conv_params params = conv_params(op);
    return arm_convolve_wrapper_s8_get_buffer_size(&params, &t.input, &t.filter, &t.output) <= MN_CMSIS_SCRATCH_BYTES;
}

int mn_cmsis_depthwise_conv2d_fits(const mn_conv2d *op) {
    const translated t = translate(op, 1);
    const cmsis_nn_dw_conv_params params = depthwise_params(op);
    return arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &t.input, &t.filter, &t.output) <=
           MN_CMSIS_SCRATCH_BYTES;
}

int mn_cmsis_pool_fits(const mn_pool *op) {
    return arm_avgpool_s8_get_buffer_size(op->window.output.sensors, op->window.input.filters) <= MN_CMSIS_SCRATCH_BYTES;
}

void mn_run_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const translated t = translate(op, 0);
    const cmsis_nn_conv_params params = conv_params(op);
    const cmsis_nn_context memory = context();
    (void)arm_convolve_wrapper_s8(&memory, &params, &t.scales, &t.input, input, &t.filter, op->weights, &t.bias, t.biases,
                                  &t.output, output);
}

void mn_run_depthwise_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    const translated t = translate(op, 1);
    const cmsis_nn_dw_conv_params params = depthwise_params(op);
    const cmsis_nn_context memory = context();
    (void)arm_depthwise_conv_wrapper_s8(&memory, &params, &t.scales, &t.input, input, &t.filter, op->weights, &t.bias,
                                        t.biases, &t.output, output);
}

/* With a scale per filter, which its own fully connected function does not take: the convolution of one position. */
void mn_run_fully_connected(const mn_conv2d *op, const int8_t *input, int8_t *output) {
    mn_run_conv2d(op, input, output);
}

void mn_run_add(const mn_add *op, const int8_t *input1, const int8_t *input2, int8_t *output) {
    (void)arm_elementwise_add_s8(input1, input2, -op->zero_point1, op->multiplier1, op->shift1, -op->zero_point2,
                                 op->multiplier2, op->shift2, 20, output, op->output_zero_point, op->output_multiplier,
                                 op->output_shift, op->activation_min, op->activation_max, op->count);
}

static cmsis_nn_pool_params pool_params(const mn_pool *op) {
    return (cmsis_nn_pool_params){
        .stride = tile(op->window.stride),
        .padding = tile(op->window.pad),
        .activation = {op->activation_min, op->activation_max}};
}

static cmsis_nn_dims pool_kernel(const mn_pool *op) {
    return (cmsis_nn_dims){1, op->window.kernel.time, op->window.kernel.sensors, 1};
}

void mn_run_average_pool2d(const mn_pool *op, const int8_t *input, int8_t *output) {
    const cmsis_nn_pool_params params = pool_params(op);
    const cmsis_nn_dims from = dims(op->window.input), kernel = pool_kernel(op), to = dims(op->window.output);
    const cmsis_nn_context memory = context();
    (void)arm_avgpool_s8(&memory, &params, &from, input, &kernel, &to, output);
}

void mn_run_max_pool2d(const mn_pool *op, const int8_t *input, int8_t *output) {
    const cmsis_nn_pool_params params = pool_params(op);
    const cmsis_nn_dims from = dims(op->window.input), kernel = pool_kernel(op), to = dims(op->window.output);
    const cmsis_nn_context memory = context();
    (void)arm_max_pool_s8(&memory, &params, &from, input, &kernel, &to, output);
}

void mn_run_softmax(const mn_softmax *op, const int8_t *input, int8_t *output) {
    arm_softmax_s8(input, op->rows, op->depth, op->multiplier, op->left_shift, op->diff_min, output);
}
