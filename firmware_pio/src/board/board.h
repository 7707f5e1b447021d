/* What the protocol needs of a board; each board has one folder that provides it. */
#ifndef MICRONAS_BOARD_H
#define MICRONAS_BOARD_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;    /* PlatformIO environment */
    const char *cpu;     /* for example "cortex-m4" */
    uint32_t clock_hz;   /* of the core */
    uint32_t counter_hz; /* at which cycle counts advance: clock_hz where they are cycles */
    const char *counter; /* "dwt", or "systick" where the core has no cycle counter */
} mn_board;

/* Clock, serial port, cycle counter, watchdog. */
void mn_board_start(void);
const mn_board *mn_board_info(void);

/* The next byte from the host, -1 when none has arrived. */
int mn_board_read(void);
void mn_board_write(const char *bytes, size_t count);

/* Keeps the watchdog from resetting the board for the next half minute. */
void mn_board_feed_watchdog(void);

/* Nothing but the counter's own overflow interrupts what runs between these two. Returns counts at counter_hz. */
void mn_board_start_counting(void);
uint64_t mn_board_stop_counting(void);

/* RAM for tensors: all that neither variables nor stack take. */
int8_t *mn_board_arena(size_t *bytes);

/* Memory that an emulator can fill before the start; no bytes on a real board. */
const int8_t *mn_board_preloaded(size_t *bytes);

#endif
