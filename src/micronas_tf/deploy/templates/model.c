/* $name, as straight-line calls of the kernels. Written by micronas-tf; see model.h. */
#include "model.h"

#include <stddef.h>
#include <string.h>

#include "micronas/kernels.h"

/* `micronas-tf verify` measures each operator: its header defines what happens after one. */
#ifdef MODEL_STEP_HEADER
#include MODEL_STEP_HEADER
#else
#define MODEL_STEP(operator)
#endif

const char *const model_class_names[MODEL_CLASSES] = {$class_names};

_Alignas(16) int8_t model_arena[MODEL_ARENA_BYTES + MODEL_GUARD_BYTES];

/* Where the tensors lie in the arena; tensor 0 is the window. Planned offline: tensors that live at the same time do not
 * overlap. */
enum {
$offsets
};

#define AT(offset) (model_arena + (offset))

$constants
static void run(void) {
$calls
}

/* Standardisation of each channel, fitted on the training data, and the limit that it is clipped to. */
static const float means[MODEL_SENSORS] = {$means};
static const float deviations[MODEL_SENSORS] = {$deviations};
static const float limit = $limit;

/* Divisions and halves away from zero, as on the host that made the golden vectors: a multiplication by the reciprocal
 * would round some values the other way. Not a number counts as the lowest value. */
static int8_t quantised_value(float value, int32_t channel) {
    float standard = (value - means[channel]) / deviations[channel];
    standard = standard > -limit ? standard : -limit;
    standard = standard < limit ? standard : limit;
    float scaled = standard / $input_scale;
    scaled = scaled > -300.0f ? scaled : -300.0f;
    scaled = scaled < 300.0f ? scaled : 300.0f;
    const int32_t rounded = (int32_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f)) + ($input_zero_point);
    return (int8_t)(rounded < INT8_MIN ? INT8_MIN : rounded > INT8_MAX ? INT8_MAX : rounded);
}

void model_quantise(const float *window, int8_t *quantised) {
    for (int32_t sample = 0; sample < MODEL_WINDOW; sample++) {
        for (int32_t channel = 0; channel < MODEL_SENSORS; channel++) {
            *quantised++ = quantised_value(*window++, channel);
        }
    }
}

/* Runs the network on the window in the arena; the first of equal scores wins. */
static int finish(int8_t *scores) {
    int best = 0;
    run();
    const int8_t *const found = AT($output);
    for (int i = 1; i < MODEL_CLASSES; i++) {
        best = found[i] > found[best] ? i : best;
    }
    if (scores != NULL) {
        memcpy(scores, found, MODEL_CLASSES);
    }
    return best;
}

/* All constants are in flash and every prediction writes what it reads: nothing is to be prepared in this version. */
void model_init(void) {}

int model_predict(const float *window, int8_t *scores) {
    model_quantise(window, AT(TENSOR_0));
    return finish(scores);
}

int model_predict_int8(const int8_t *window, int8_t *scores) {
    memcpy(AT(TENSOR_0), window, MODEL_INPUT_VALUES);
    return finish(scores);
}
