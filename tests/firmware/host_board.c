/* The firmware as a program: requests on standard input, replies on standard output, a counter that counts calls. */
#include <stdio.h>

#include "bench/protocol.h"
#include "board/board.h"

static _Alignas(16) int8_t arena[MN_HOST_ARENA_BYTES];
static uint64_t calls;
static const mn_board board = {
    .name = "host", .cpu = "host", .clock_hz = 1000000, .counter_hz = 1000000, .counter = "calls"};

const mn_board *mn_board_info(void) { return &board; }

void mn_board_write(const char *bytes, size_t count) {
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
}

void mn_board_feed_watchdog(void) {}

void mn_board_start_counting(void) { calls++; }

uint64_t mn_board_stop_counting(void) { return 1000 + calls; }

int8_t *mn_board_arena(size_t *bytes) {
    *bytes = sizeof arena;
    return arena;
}

const int8_t *mn_board_preloaded(size_t *bytes) {
    *bytes = 0;
    return NULL;
}

int main(void) {
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        mn_protocol_receive((char)byte);
    }
    return 0;
}
