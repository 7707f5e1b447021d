/* On a PC: reads samples from standard input, the values of one sample in each line, and prints a line for each window.
 * On a board, call stream_push from the loop that reads the sensor; stream.c and the bundle stay as they are. */
#include <stdio.h>

#include "stream.h"

static int read_sample(float sample[MODEL_SENSORS]) {
    for (int channel = 0; channel < MODEL_SENSORS; channel++) {
        if (scanf("%f%*[,]", &sample[channel]) != 1) {
            return 0;
        }
    }
    return 1;
}

int main(void) {
    float sample[MODEL_SENSORS];
    int8_t scores[MODEL_CLASSES];
    model_init();
    stream_reset();
    while (read_sample(sample)) {
        const int best = stream_push(sample, scores);
        if (best != STREAM_WAITING) {
            printf("%s %.3f\n", model_class_names[best], (double)model_probability(scores[best]));
        }
    }
    return 0;
}
