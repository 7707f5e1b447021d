/* What the adapter keeps where the portable backend has its channels: CMSIS-NN wants an array of each figure. */
#ifndef MICRONAS_CMSIS_NN_H
#define MICRONAS_CMSIS_NN_H

#include "micronas/kernels.h"

typedef struct {
    const int32_t *bias, *multiplier, *shift;
} mn_cmsis_channels;

/* CMSIS-NN unpacks inputs into scratch memory; the adapter owns this much. */
enum { MN_CMSIS_SCRATCH_BYTES = 16384 };

/* Whether the operator's scratch memory fits. */
int mn_cmsis_conv2d_fits(const mn_conv2d *op);
int mn_cmsis_depthwise_conv2d_fits(const mn_conv2d *op);
int mn_cmsis_pool_fits(const mn_pool *op);

#endif
