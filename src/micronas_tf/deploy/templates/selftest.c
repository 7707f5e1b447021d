/* Runs the golden windows; returns how many of them gave other scores than expected. */
#include <string.h>

#include "golden.h"

static int is_right(int window) {
    int8_t quantised[MODEL_INPUT_VALUES], scores[MODEL_CLASSES];
    model_quantise(golden_windows[window], quantised);
    if (memcmp(quantised, golden_inputs[window], sizeof quantised) != 0) {
        return 0;
    }
    model_predict(golden_windows[window], scores);
    if (memcmp(scores, golden_scores[window], sizeof scores) != 0) {
        return 0;
    }
    model_predict_int8(quantised, scores);
    return memcmp(scores, golden_scores[window], sizeof scores) == 0;
}

int main(void) {
    int wrong = 0;
    model_init();
    for (int window = 0; window < GOLDEN_WINDOWS; window++) {
        /* As after power-on: whatever is in memory. */
        memset(model_arena, 0x5A + window, sizeof model_arena);
        wrong += !is_right(window);
    }
    return wrong;
}
