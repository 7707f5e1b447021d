/* The int8 operators of micronas-tf, one header in front of two backends.
 *
 * Tensors are row-major (time, sensors, filters), one window at a time, and start at an address divisible by 4.
 * Operators are constants: what a kernel reads besides its input lives in flash, prepared once by `pack.h` (or by its
 * Python twin when a bundle is written). No kernel allocates, and those of the portable backend need no scratch memory.
 *
 * Exactness: the portable backend equals TFLite's int8 reference kernels in every output byte. The arithmetic is that
 * of Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
 * (arXiv 1712.05877) with the roundings of gemmlowp's fixed-point arithmetic.
 */
#ifndef MICRONAS_KERNELS_H
#define MICRONAS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int16_t time, sensors, filters;
} mn_shape;

typedef struct {
    int16_t time, sensors;
} mn_pair;

/* Geometry of a sliding operator. `pad` is what lies before the first sample; the far end follows from the shapes. */
typedef struct {
    mn_shape input, output;
    mn_pair kernel, stride, pad;
} mn_window;

/* Order of the weights in memory; docs: pack.h. */
enum {
    MN_PLAIN = 0,  /* TFLite's order, any shape, any multiplier */
    MN_PAIRED = 1, /* two output filters share a halfword; C_in a multiple of 4 */
    MN_SINGLE = 2, /* C_in = 1: pairs of taps as halfwords */
};

/* How one output filter is rescaled. In layout MN_PLAIN as TFLite states it: real multiplier =
 * multiplier * 2^(shift - 31). In the other layouts prepared: `bias` = 2 * (bias - input zero point * sum of weights),
 * `shift` = right shift - 1 (at least 0). */
typedef struct {
    int32_t bias, multiplier, shift;
} mn_channel;

typedef struct {
    mn_window window;
    int16_t input_zero_point, output_zero_point;
    int8_t activation_min, activation_max;
    uint8_t layout;
    const void *weights;        /* 4-byte aligned */
    const mn_channel *channels; /* one per output filter, in MN_PAIRED an even number of them */
} mn_conv2d;

/* Elementwise sum. The three multipliers are TFLite's, with its left shift of 20 implied. Where `fast` is not zero,
 * clamp((offset + (x1 << 8) * gain1 / 2^16 + (x2 << 8) * gain2 / 2^16) >> 22) with truncating divisions was proven equal
 * to them for all 65,536 pairs of inputs when the operator was prepared. */
typedef struct {
    int32_t count;
    int16_t zero_point1, zero_point2, output_zero_point;
    int8_t activation_min, activation_max;
    int32_t multiplier1, shift1, multiplier2, shift2, output_multiplier, output_shift;
    int32_t fast, gain1, gain2, offset;
} mn_add;

/* Mean over time and sensors: (time, sensors, filters) -> (1, 1, filters). */
typedef struct {
    mn_shape input;
    int16_t input_zero_point, output_zero_point;
    int32_t multiplier, shift;
} mn_mean;

/* Pooling keeps scale and zero point. */
typedef struct {
    mn_window window;
    int8_t activation_min, activation_max;
} mn_pool;

/* Softmax over `depth` values, `rows` times; int8 output with scale 1/256 and zero point -128. */
typedef struct {
    int32_t rows, depth;
    int32_t multiplier, left_shift, diff_min;
} mn_softmax;

/* Name and version of the backend that was linked, for example "portable/1". */
const char *mn_backend(void);

void mn_run_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output);
void mn_run_depthwise_conv2d(const mn_conv2d *op, const int8_t *input, int8_t *output);
void mn_run_fully_connected(const mn_conv2d *op, const int8_t *input, int8_t *output);
void mn_run_add(const mn_add *op, const int8_t *input1, const int8_t *input2, int8_t *output);
void mn_run_mean(const mn_mean *op, const int8_t *input, int8_t *output);
void mn_run_average_pool2d(const mn_pool *op, const int8_t *input, int8_t *output);
void mn_run_max_pool2d(const mn_pool *op, const int8_t *input, int8_t *output);
void mn_run_softmax(const mn_softmax *op, const int8_t *input, int8_t *output);

#endif
