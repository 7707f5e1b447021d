// The operators that the model needs, and no others.
#ifndef MICRONAS_OP_RESOLVER_H_
#define MICRONAS_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using ModelOpResolver = tflite::MicroMutableOpResolver<$count>;

inline TfLiteStatus RegisterModelOps(ModelOpResolver& resolver) {
$lines
  return kTfLiteOk;
}

#endif  // MICRONAS_OP_RESOLVER_H_
