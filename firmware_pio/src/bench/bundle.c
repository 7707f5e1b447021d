#ifdef MN_BUNDLE
#include "bundle.h"

#include <stddef.h>
#include <string.h>

#include "../board/board.h"
#include "bundle_step.h"
#include "crc32.h"
#include "model.h"

_Static_assert((int)MODEL_CLASSES <= (int)MN_MOST_CLASSES, "more classes than a reply holds");

static const mn_bundle_info info = {MODEL_ID, MODEL_INPUT_VALUES, MODEL_CLASSES, MODEL_OPERATORS, MODEL_ARENA_BYTES};

static uint64_t traced[MODEL_OPERATORS];
static int tracing;

const mn_bundle_info *mn_bundle_about(void) { return &info; }

static float *floats(mn_arena memory) { return (float *)(void *)memory.start; }
static int8_t *quantised(mn_arena memory) { return memory.start + MODEL_INPUT_VALUES * sizeof(float); }

size_t mn_bundle_memory(void) { return MODEL_INPUT_VALUES * (sizeof(float) + 1); }

int mn_bundle_fetch(mn_arena memory, int32_t number) {
    size_t room = 0;
    const int8_t *const windows = mn_board_preloaded(&room);
    const size_t bytes = MODEL_INPUT_VALUES * sizeof(float);
    if (memory.bytes < mn_bundle_memory() || room / bytes <= (size_t)number) {
        return 0;
    }
    memcpy(memory.start, windows + (size_t)number * bytes, bytes);
    return 1;
}

static uint8_t paint(uint32_t seed, uint32_t at) {
    uint32_t x = (seed ^ at * 2654435761U) * 2246822519U;
    x ^= x >> 15;
    return (uint8_t)((x * 3266489917U) >> 24);
}

static void paint_arena(uint32_t seed) {
    for (uint32_t i = 0; i < sizeof model_arena; i++) {
        model_arena[i] = (int8_t)paint(seed, i);
    }
}

/* One byte in 256 is written with what was painted there: a few windows with other paint find the true end. */
static int32_t high_water(uint32_t seed) {
    uint32_t end = sizeof model_arena;
    while (end > 0 && (uint8_t)model_arena[end - 1] == paint(seed, end - 1)) {
        end--;
    }
    return (int32_t)end;
}

void mn_bundle_predict(mn_arena memory, uint32_t seed, mn_bundle_prediction *found) {
    mn_board_feed_watchdog();
    mn_board_start_counting();
    model_quantise(floats(memory), quantised(memory));
    found->quantise_counts = mn_board_stop_counting();
    found->input_crc = mn_crc32(quantised(memory), MODEL_INPUT_VALUES);
    paint_arena(seed);
    mn_board_feed_watchdog();
    found->best = model_predict(floats(memory), found->scores);
    found->high_water_bytes = high_water(seed);
    paint_arena(~seed);
    mn_board_feed_watchdog();
    mn_board_start_counting();
    model_predict_int8(quantised(memory), found->scores_int8);
    found->counts = mn_board_stop_counting();
}

void mn_bundle_step(int32_t operator_done) {
    if (tracing) {
        traced[operator_done] = mn_board_stop_counting();
        mn_board_start_counting();
    }
}

void mn_bundle_trace(mn_arena memory) {
    mn_board_feed_watchdog();
    tracing = 1;
    mn_board_start_counting();
    model_predict_int8(quantised(memory), NULL);
    mn_board_stop_counting();
    tracing = 0;
}

uint64_t mn_bundle_traced(int32_t operator_index) { return traced[operator_index]; }
#endif
