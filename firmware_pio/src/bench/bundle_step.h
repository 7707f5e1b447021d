/* What the model of a bundle is compiled with, so that its operators can be timed one by one. */
#ifndef MICRONAS_BUNDLE_STEP_H
#define MICRONAS_BUNDLE_STEP_H

#include <stdint.h>

void mn_bundle_step(int32_t operator_done);

#define MODEL_STEP(operator) mn_bundle_step(operator)

#endif
