/* One operator with its shapes, as text: the form that `str(OpSpec)` has in Python.
 *
 *     conv2d (128,9,1)->(64,9,8) k(5,1) s(2,1) same relu
 *     add (16,5,8)+(16,5,8)->(16,5,8)
 */
#ifndef MICRONAS_OP_SPEC_H
#define MICRONAS_OP_SPEC_H

#include "micronas/kernels.h"

typedef enum {
    MN_CONV2D,
    MN_DEPTHWISE_CONV2D,
    MN_ADD,
    MN_MEAN,
    MN_AVERAGE_POOL2D,
    MN_MAX_POOL2D,
    MN_FULLY_CONNECTED,
    MN_SOFTMAX,
    MN_KINDS
} mn_kind;

/* Operators without a window have kernel and strides (1, 1). */
typedef struct {
    mn_kind kind;
    mn_window window;
    uint8_t relu;
} mn_op_spec;

typedef enum { MN_SPEC_OK, MN_SPEC_SYNTAX, MN_SPEC_SHAPE } mn_spec_status;

/* Reads a spec from *text and moves *text past it, to a space or the end. SHAPE: the shapes contradict the kind. */
mn_spec_status mn_parse_op_spec(const char **text, mn_op_spec *spec);

int32_t mn_elements(mn_shape shape);

/* Weights of an operator that has some, else 0. */
int64_t mn_weights(const mn_op_spec *spec);

/* Multiplications, or what comes closest: the inner steps that the operator's time is proportional to. */
int64_t mn_steps(const mn_op_spec *spec);

#endif
