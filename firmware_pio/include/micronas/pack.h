/* Prepares operators for the kernels: packs weights, folds zero points, proves shortcuts exact. Runs where operators are
 * made (on a host, in tests, on a board that makes its own); a deployed bundle carries only the results.
 *
 * Layouts of convolution weights, in terms of TFLite's order w[filter][time][sensor][C_in]:
 *
 * MN_PLAIN   that order, int8.
 * MN_PAIRED  for each pair of output filters a = 2i, b = 2i + 1, for each tap (time, sensor), for each group of four input
 *            filters c: two words. Halfword h(c) = 256 * w[b][..][c] + w[a][..][c] (int16, w >= -127); the first word holds
 *            h(c) in its low and h(c + 2) in its high half, the second h(c + 1) and h(c + 3). A missing last filter b
 *            counts as zeros. Same size as MN_PLAIN when the number of filters is even.
 * MN_SINGLE  C_in = 1; for each output filter, its taps in order (time, sensor) in pairs: one word, the even tap in the low
 *            half; a halfword holds 2 * w; a missing last tap is zero.
 *
 * Channels (mn_channel) of MN_PAIRED and MN_SINGLE, from TFLite's bias, multiplier m and shift -e of an output filter:
 * bias' = 2 * (bias - input zero point * sum of w), multiplier' = m, shift' = e - 1. They need e >= 1, e <= 23 and
 * |bias| + 255 * sum |w| < 2^30; a filter whose output is its zero point whatever the input (a dead one) gets
 * multiplier' = shift' = 0 instead. Where a filter meets neither, the whole operator stays MN_PLAIN.
 */
#ifndef MICRONAS_PACK_H
#define MICRONAS_PACK_H

#include "micronas/kernels.h"

enum { MN_SINGLE_WORDS = 8 }; /* MN_SINGLE takes at most 16 taps */

/* A convolution as a .tflite file states it. Depthwise: weights (time, sensors, filters). Fully connected: a window of one
 * position. The real multiplier of a filter is multiplier * 2^(shift - 31). */
typedef struct {
    mn_window window;
    int16_t input_zero_point, output_zero_point;
    int8_t activation_min, activation_max;
    const int8_t *weights;
    const int32_t *bias, *multiplier, *shift; /* one per output filter */
} mn_conv2d_source;

/* Geometry with TensorFlow's SAME (`same` not 0) or VALID padding. */
mn_window mn_window_of(mn_shape input, int32_t filters, mn_pair kernel, mn_pair stride, int same);

/* The layout for a shape whose weights and multipliers allow it. */
uint8_t mn_conv2d_layout(const mn_window *window);
size_t mn_conv2d_weight_bytes(const mn_window *window, uint8_t layout);
/* Entries of the channel table: an odd number of filters has one more in MN_PAIRED. */
int32_t mn_conv2d_channels(const mn_window *window, uint8_t layout);

/* The record of a convolution in the layout MN_PLAIN, that refers to `weights` and `channels` as they are. */
mn_conv2d mn_plain_conv2d(const mn_conv2d_source *source, const void *weights, const mn_channel *channels);

/* Fills *op, `weights` (4-byte aligned, as long as the larger of the two layouts) and `channels`, which *op refers to. */
void mn_pack_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op);
void mn_pack_depthwise_conv2d(const mn_conv2d_source *source, void *weights, mn_channel *channels, mn_conv2d *op);

/* Sets fast, gain1, gain2 and offset from the other fields. */
void mn_prepare_add(mn_add *op);

/* Multiplier and shift of a mean over `positions`, from those of input scale / output scale. */
void mn_prepare_mean(mn_mean *op, int32_t multiplier, int32_t shift);

#endif
