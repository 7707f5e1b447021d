/* A model written by micronas-tf, run and measured: present where the firmware was built with a bundle (MN_BUNDLE). */
#ifndef MICRONAS_BUNDLE_H
#define MICRONAS_BUNDLE_H

#include "operator.h"

enum { MN_MOST_CLASSES = 64 };

typedef struct {
    const char *id;         /* of the flatbuffer */
    int32_t values;         /* of a window */
    int32_t classes;
    int32_t operators;
    int32_t planned_bytes; /* of the model's arena */
} mn_bundle_info;

typedef struct {
    uint32_t input_crc;                                            /* of the quantised window */
    int8_t scores[MN_MOST_CLASSES], scores_int8[MN_MOST_CLASSES]; /* by the two ways into the model */
    int32_t best;
    uint64_t quantise_counts; /* standardising and quantising the window */
    uint64_t counts;          /* the network, from the quantised window to the scores */
    int32_t high_water_bytes; /* end of the highest byte of the model's arena that was written, or beyond it */
} mn_bundle_prediction;

const mn_bundle_info *mn_bundle_about(void);

/* How much memory the window takes, first as floats, then quantised. */
size_t mn_bundle_memory(void);

/* Copies a window from where the board's emulator puts them; 0 where there is none, or no room. */
int mn_bundle_fetch(mn_arena memory, int32_t number);

/* Predicts the window in `memory` twice. The model's arena is filled with bytes drawn from the seed before each time. */
void mn_bundle_predict(mn_arena memory, uint32_t seed, mn_bundle_prediction *found);

/* Runs the network with each operator timed by itself. */
void mn_bundle_trace(mn_arena memory);
uint64_t mn_bundle_traced(int32_t operator_index);

#endif
