#include "../board.h"

extern int8_t mn_arena_start[], mn_arena_end[];

int8_t *mn_board_arena(size_t *bytes) {
    *bytes = (size_t)(mn_arena_end - mn_arena_start);
    return mn_arena_start;
}

/* Emulated boards have their own. */
__attribute__((weak)) const int8_t *mn_board_preloaded(size_t *bytes) {
    *bytes = 0;
    return NULL;
}
