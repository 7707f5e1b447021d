/* A window that slides over a stream of samples: what a firmware does between its sensor and the model. */
#ifndef STREAM_H
#define STREAM_H

#include "model.h"

/* New samples between two predictions. The `--hop` of the search is a good value. */
#ifndef STREAM_HOP
#define STREAM_HOP (MODEL_WINDOW / 2)
#endif

enum { STREAM_WAITING = -1 };

/* Forgets all samples: at the start, and wherever samples were lost. Call model_init once before. */
void stream_reset(void);

/* Takes one sample, raw, its channels in the order of the training data. Gives the class of the window that it
 * completes and fills `scores`, or gives STREAM_WAITING. */
int stream_push(const float sample[MODEL_SENSORS], int8_t scores[MODEL_CLASSES]);

#endif
