/* $name: a window of $window samples of $sensors channels -> scores of $classes classes. Written by micronas-tf.
 *
 *     int8_t scores[MODEL_CLASSES];
 *     model_init();
 *     const int best = model_predict(window, scores);
 *     printf("%s %.2f\n", model_class_names[best], (double)model_probability(scores[best]));
 *
 * No heap, no interpreter; the only floating-point arithmetic is the standardisation of the window. Not reentrant: all
 * calls share one arena.
 */
#ifndef MICRONAS_MODEL_H
#define MICRONAS_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_ID "$id" /* the first digits of the SHA-256 of model.tflite */

enum {
    MODEL_WINDOW = $window,       /* samples of a window */
    MODEL_SENSORS = $sensors,       /* channels of a sample */
    MODEL_CLASSES = $classes,
    MODEL_INPUT_VALUES = $values, /* a window is [sample][channel] */
    MODEL_OPERATORS = $operators,
    MODEL_ARENA_BYTES = $arena_bytes
};

#define MODEL_SAMPLING_HZ $sampling
#define MODEL_SCORE_SCALE $score_scale
#define MODEL_SCORE_ZERO_POINT ($score_zero_point)

/* Bytes beyond the arena that must stay as they are: for tests. */
#ifndef MODEL_GUARD_BYTES
#define MODEL_GUARD_BYTES 0
#endif

/* Working memory. Between two predictions it may serve other purposes; what it holds before one does not matter. */
extern int8_t model_arena[MODEL_ARENA_BYTES + MODEL_GUARD_BYTES];

extern const char *const model_class_names[MODEL_CLASSES];

/* Call it once before anything else. */
void model_init(void);

/* Class of a raw window, in the units of the training data. Fills `scores` unless it is NULL. */
int model_predict(const float *window, int8_t *scores);

/* The same for a window that is standardised and quantised already: see model_quantise. */
int model_predict_int8(const int8_t *window, int8_t *scores);

/* (value - mean) / standard deviation of its channel, rounded to the int8 that the network reads. */
void model_quantise(const float *window, int8_t *quantised);

static inline float model_probability(int8_t score) {
    return (float)(score - MODEL_SCORE_ZERO_POINT) * MODEL_SCORE_SCALE;
}

#ifdef __cplusplus
}
#endif
#endif
