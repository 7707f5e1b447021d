#include "op_spec.h"

#include <string.h>

#include "micronas/pack.h"
#include "text.h"

enum { LARGEST_EXTENT = 8191, LARGEST_ELEMENTS = 1 << 20 };

static const char *const kind_names[MN_KINDS] = {
    [MN_CONV2D] = "conv2d",
    [MN_DEPTHWISE_CONV2D] = "depthwise_conv2d",
    [MN_ADD] = "add",
    [MN_MEAN] = "mean",
    [MN_AVERAGE_POOL2D] = "average_pool2d",
    [MN_MAX_POOL2D] = "max_pool2d",
    [MN_FULLY_CONNECTED] = "fully_connected",
    [MN_SOFTMAX] = "softmax",
};

static int parse_kind(const char **text, mn_kind *kind) {
    for (int k = 0; k < MN_KINDS; k++) {
        if (mn_take_word(text, kind_names[k])) {
            *kind = (mn_kind)k;
            return 1;
        }
    }
    return 0;
}

static int parse_extent(const char **text, int16_t *extent) {
    int32_t value;
    if (!mn_take_number(text, 1, LARGEST_EXTENT, &value)) {
        return 0;
    }
    *extent = (int16_t)value;
    return 1;
}

static int parse_shape(const char **text, mn_shape *shape) {
    return mn_take(text, "(") && parse_extent(text, &shape->time) && mn_take(text, ",") &&
           parse_extent(text, &shape->sensors) && mn_take(text, ",") && parse_extent(text, &shape->filters) &&
           mn_take(text, ")");
}

static int parse_pair(const char **text, const char *letter, mn_pair *pair) {
    return mn_take(text, letter) && mn_take(text, "(") && parse_extent(text, &pair->time) && mn_take(text, ",") &&
           parse_extent(text, &pair->sensors) && mn_take(text, ")");
}

static int parse_choice(const char **text, const char *yes, const char *no, int *chosen) {
    *chosen = mn_take_word(text, yes);
    return *chosen || mn_take_word(text, no);
}

static int same_shape(mn_shape a, mn_shape b) {
    return a.time == b.time && a.sensors == b.sensors && a.filters == b.filters;
}

static int is_windowed(mn_kind kind) {
    return kind == MN_CONV2D || kind == MN_DEPTHWISE_CONV2D || kind == MN_AVERAGE_POOL2D || kind == MN_MAX_POOL2D;
}

int32_t mn_elements(mn_shape shape) { return (int32_t)shape.time * shape.sensors * shape.filters; }

static int fits(mn_shape shape) {
    return (int64_t)shape.time * shape.sensors <= LARGEST_ELEMENTS &&
           (int64_t)shape.time * shape.sensors * shape.filters <= LARGEST_ELEMENTS;
}

/* The output that the kind gives for the input; the filters of conv2d and fully_connected are free. */
static mn_shape expected_output(const mn_op_spec *spec, mn_window window, mn_shape output) {
    const mn_shape input = window.input;
    switch (spec->kind) {
        case MN_CONV2D: return window.output;
        case MN_DEPTHWISE_CONV2D:
        case MN_AVERAGE_POOL2D:
        case MN_MAX_POOL2D: return (mn_shape){window.output.time, window.output.sensors, input.filters};
        case MN_MEAN: return (mn_shape){1, 1, input.filters};
        case MN_FULLY_CONNECTED: return (mn_shape){1, 1, output.filters};
        default: return input;
    }
}

static mn_spec_status finish(mn_op_spec *spec, mn_shape output, int same, mn_shape second) {
    mn_window *window = &spec->window;
    const mn_shape input = window->input;
    if (!fits(input) || !fits(output) || (spec->kind == MN_ADD && !same_shape(input, second))) {
        return MN_SPEC_SHAPE;
    }
    if (is_windowed(spec->kind) && !same &&
        (input.time < window->kernel.time || input.sensors < window->kernel.sensors)) {
        return MN_SPEC_SHAPE;
    }
    *window = mn_window_of(input, output.filters, window->kernel, window->stride, same);
    if (!same_shape(output, expected_output(spec, *window, output))) {
        return MN_SPEC_SHAPE;
    }
    window->output = output;
    if (spec->kind == MN_FULLY_CONNECTED) {
        /* All inputs of the one position, whatever their shape. */
        if (mn_elements(input) > INT16_MAX) {
            return MN_SPEC_SHAPE;
        }
        window->input = (mn_shape){1, 1, (int16_t)mn_elements(input)};
    }
    return MN_SPEC_OK;
}

mn_spec_status mn_parse_op_spec(const char **text, mn_op_spec *spec) {
    mn_shape output, second = {0, 0, 0};
    int same = 1, relu = 0;
    memset(spec, 0, sizeof *spec);
    spec->window.kernel = spec->window.stride = (mn_pair){1, 1};
    if (!parse_kind(text, &spec->kind) || !mn_take(text, " ") || !parse_shape(text, &spec->window.input) ||
        (spec->kind == MN_ADD && (!mn_take(text, "+") || !parse_shape(text, &second))) || !mn_take(text, "->") ||
        !parse_shape(text, &output)) {
        return MN_SPEC_SYNTAX;
    }
    if (is_windowed(spec->kind) &&
        (!mn_take(text, " ") || !parse_pair(text, "k", &spec->window.kernel) || !mn_take(text, " ") ||
         !parse_pair(text, "s", &spec->window.stride) || !mn_take(text, " ") ||
         !parse_choice(text, "same", "valid", &same) || !mn_take(text, " ") ||
         !parse_choice(text, "relu", "linear", &relu))) {
        return MN_SPEC_SYNTAX;
    }
    if (**text != ' ' && **text != '\0') {
        return MN_SPEC_SYNTAX;
    }
    spec->relu = (uint8_t)relu;
    return finish(spec, output, same, second);
}

static int64_t taps_of(const mn_op_spec *spec) {
    return (int64_t)spec->window.kernel.time * spec->window.kernel.sensors;
}

int64_t mn_weights(const mn_op_spec *spec) {
    const mn_window *window = &spec->window;
    switch (spec->kind) {
        case MN_CONV2D:
        case MN_FULLY_CONNECTED: return taps_of(spec) * window->input.filters * window->output.filters;
        case MN_DEPTHWISE_CONV2D: return taps_of(spec) * window->input.filters;
        default: return 0;
    }
}

int64_t mn_steps(const mn_op_spec *spec) {
    const mn_window *window = &spec->window;
    switch (spec->kind) {
        case MN_CONV2D:
        case MN_FULLY_CONNECTED: return mn_elements(window->output) * taps_of(spec) * window->input.filters;
        case MN_DEPTHWISE_CONV2D:
        case MN_AVERAGE_POOL2D:
        case MN_MAX_POOL2D: return mn_elements(window->output) * taps_of(spec);
        default: return mn_elements(window->input);
    }
}
