/* Operators that can be run, made from their shapes alone. */
#ifndef MICRONAS_OPERATOR_H
#define MICRONAS_OPERATOR_H

#include "op_spec.h"

typedef struct {
    mn_kind kind;
    union {
        mn_conv2d conv2d;
        mn_add add;
        mn_mean mean;
        mn_pool pool;
        mn_softmax softmax;
    } as;
} mn_operator;

/* Memory for tensors, 16-byte aligned. */
typedef struct {
    int8_t *start;
    size_t bytes;
} mn_arena;

typedef enum { MN_MADE, MN_NO_RAM, MN_NO_FLASH } mn_making;

/* An operator to be timed: weights and channels are pseudo-random constants in flash, in the layout that trained ones of
 * this shape get. */
mn_making mn_make_timed(const mn_op_spec *spec, mn_operator *op);

/* Whether the backend has the scratch memory that the operator needs. */
int mn_has_scratch(const mn_operator *op);

void mn_run_operator(const mn_operator *op, const int8_t *input1, const int8_t *input2, int8_t *output);

/* Makes an operator and its input from a seed, inside the arena, with parameters that go to their extremes; runs it and
 * returns the checksum of its output. */
mn_making mn_check_operator(const mn_op_spec *spec, uint32_t seed, mn_arena arena, uint32_t *crc);

#endif
