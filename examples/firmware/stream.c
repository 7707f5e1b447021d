#include "stream.h"

#include <string.h>

_Static_assert(STREAM_HOP >= 1 && STREAM_HOP <= MODEL_WINDOW, "a hop is at least one sample and at most a window");

static float window[MODEL_INPUT_VALUES]; /* [sample][channel] */
static int filled;                       /* samples in it */

void stream_reset(void) { filled = 0; }

int stream_push(const float sample[MODEL_SENSORS], int8_t scores[MODEL_CLASSES]) {
    memcpy(&window[filled * MODEL_SENSORS], sample, sizeof(float) * MODEL_SENSORS);
    filled += 1;
    if (filled < MODEL_WINDOW) {
        return STREAM_WAITING;
    }
    const int best = model_predict(window, scores);
    filled = MODEL_WINDOW - STREAM_HOP;
    memmove(window, &window[STREAM_HOP * MODEL_SENSORS], sizeof(float) * (size_t)(filled * MODEL_SENSORS));
    return best;
}
