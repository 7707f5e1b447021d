/* Operators with places for their tensors in the arena: the steps of a network. */
#ifndef MICRONAS_PROGRAM_H
#define MICRONAS_PROGRAM_H

#include "operator.h"

enum { MN_MOST_NODES = 96 };

/* Byte offsets of an operator's tensors in the arena, multiples of 4; input2 is read by an add only. */
typedef struct {
    int32_t input1, input2, output;
} mn_places;

typedef struct {
    mn_operator op;
    mn_places places;
} mn_node;

/* An operator to be timed, with its tensors at `places`; MN_NO_RAM where one is misaligned or beyond the arena. */
mn_making mn_make_node(const mn_op_spec *spec, mn_places places, size_t arena_bytes, mn_node *node);

/* The same with its tensors side by side from the arena's start. */
mn_making mn_make_single_node(const mn_op_spec *spec, size_t arena_bytes, mn_node *node);

void mn_run_nodes(const mn_node *nodes, size_t count, int8_t *arena);

#endif
