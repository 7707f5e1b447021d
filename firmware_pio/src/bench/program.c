#include "program.h"

static int lies_inside(int32_t offset, mn_shape shape, size_t arena_bytes) {
    return offset % 4 == 0 && (int64_t)offset + mn_elements(shape) <= (int64_t)arena_bytes;
}

mn_making mn_make_node(const mn_op_spec *spec, mn_places places, size_t arena_bytes, mn_node *node) {
    const mn_window *window = &spec->window;
    if (!lies_inside(places.input1, window->input, arena_bytes) ||
        !lies_inside(places.output, window->output, arena_bytes) ||
        (spec->kind == MN_ADD && !lies_inside(places.input2, window->input, arena_bytes))) {
        return MN_NO_RAM;
    }
    node->places = places;
    return mn_make_timed(spec, &node->op);
}

static int32_t rounded_up(int32_t bytes) { return (bytes + 15) / 16 * 16; }

mn_making mn_make_single_node(const mn_op_spec *spec, size_t arena_bytes, mn_node *node) {
    const int32_t input = rounded_up(mn_elements(spec->window.input));
    return mn_make_node(spec, (mn_places){0, input, spec->kind == MN_ADD ? 2 * input : input}, arena_bytes, node);
}

void mn_run_nodes(const mn_node *nodes, size_t count, int8_t *arena) {
    for (const mn_node *node = nodes; node != nodes + count; node++) {
        const mn_places at = node->places;
        mn_run_operator(&node->op, arena + at.input1, arena + at.input2, arena + at.output);
    }
}
