/* The first $windows golden windows, and the scores that model_predict must give for them, bit for bit. All of them, and the
 * quantised inputs: golden.npz. */
#ifndef MICRONAS_GOLDEN_H
#define MICRONAS_GOLDEN_H

#include "model.h"

enum { GOLDEN_WINDOWS = $windows };

static const float golden_windows[GOLDEN_WINDOWS][MODEL_INPUT_VALUES] = {
$values
};

static const int8_t golden_inputs[GOLDEN_WINDOWS][MODEL_INPUT_VALUES] = {
$inputs
};

static const int8_t golden_scores[GOLDEN_WINDOWS][MODEL_CLASSES] = {
$scores
};

#endif
