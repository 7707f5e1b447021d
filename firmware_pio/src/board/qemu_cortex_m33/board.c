/* QEMU's mps2-an505: a Cortex-M33 with CMSDK UARTs (ARM DDI 0479) and a SysTick of 20 MHz. */
#include "../board.h"
#include "../common/cycles.h"
#include "../common/registers.h"

#define UART0_DATA MN_REGISTER(0x50200000U)
#define UART0_STATE MN_REGISTER(0x50200004U)
#define UART0_CONTROL MN_REGISTER(0x50200008U)
#define UART0_BAUD MN_REGISTER(0x50200010U)

enum { TRANSMIT_FULL = 1, RECEIVED = 2, OVERRUNS = 4 | 8, ENABLE_BOTH = 3, LEAST_DIVIDER = 16 };

static mn_board board = {.name = "qemu_cortex_m33", .cpu = "cortex-m33", .clock_hz = 20000000, .counter_hz = 20000000};

void mn_board_start(void) {
    UART0_BAUD = LEAST_DIVIDER;
    UART0_CONTROL = ENABLE_BOTH;
    board.counter = mn_choose_counter();
}

const mn_board *mn_board_info(void) { return &board; }

int mn_board_read(void) {
    const uint32_t state = UART0_STATE;
    if (state & OVERRUNS) {
        UART0_STATE = OVERRUNS;
    }
    return state & RECEIVED ? (int)(UART0_DATA & 0xFFU) : -1;
}

void mn_board_write(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (UART0_STATE & TRANSMIT_FULL) {
        }
        UART0_DATA = (uint8_t)bytes[i];
    }
}

void mn_board_feed_watchdog(void) {}

/* The machine has a PSRAM that the L552 has not. */
const int8_t *mn_board_preloaded(size_t *bytes) {
    *bytes = 16 * 1024 * 1024;
    return (const int8_t *)0x80000000U;
}
