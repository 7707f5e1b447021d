// The int8 model for TensorFlow Lite Micro. Windows are standardised and quantised before: see ../model.h, model_quantise.
#ifndef MICRONAS_MODEL_DATA_H_
#define MICRONAS_MODEL_DATA_H_

constexpr unsigned int kModelBytes = $bytes;
alignas(16) extern const unsigned char kModel[kModelBytes];

// The tensor arena on a 32-bit board with CMSIS-NN's kernels: $head B planned, $tail B of the interpreter (a model of it).
constexpr int kModelArenaBytes = $arena;

#endif  // MICRONAS_MODEL_DATA_H_
