/* Windows on standard input; the quantised window and the scores of each on standard output. Ends with a status other than
 * zero where the two ways into the model disagree, or where it writes beyond its arena. */
#include <stdio.h>
#include <string.h>

#include "model.h"

static uint32_t state = 1;

/* As after power-on: whatever is in memory. */
static void fill_memory(void) {
    for (size_t i = 0; i < sizeof model_arena; i++) {
        state = state * 1664525U + 1013904223U;
        model_arena[i] = (int8_t)(state >> 24);
    }
}

int main(void) {
    static float window[MODEL_INPUT_VALUES];
    int8_t quantised[MODEL_INPUT_VALUES], scores[MODEL_CLASSES], again[MODEL_CLASSES];
    int8_t guard[MODEL_GUARD_BYTES];
    model_init();
    while (fread(window, sizeof window, 1, stdin) == 1) {
        fill_memory();
        memcpy(guard, model_arena + MODEL_ARENA_BYTES, sizeof guard);
        model_quantise(window, quantised);
        const int best = model_predict(window, scores);
        if (memcmp(guard, model_arena + MODEL_ARENA_BYTES, sizeof guard) != 0) {
            return 1;
        }
        fill_memory();
        if (model_predict_int8(quantised, again) != best || memcmp(scores, again, sizeof scores) != 0) {
            return 2;
        }
        for (int i = 0; i < MODEL_CLASSES; i++) {
            if (scores[i] > scores[best] || (scores[i] == scores[best] && i < best)) {
                return 3;
            }
        }
        if (model_predict(window, NULL) != best) {
            return 4;
        }
        fwrite(quantised, sizeof quantised, 1, stdout);
        fwrite(scores, sizeof scores, 1, stdout);
    }
    return 0;
}
