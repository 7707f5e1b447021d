#include "cycles.h"

#include "../board.h"
#include "registers.h"

enum {
    SYSTICK_MOST = 0xFFFFFF,
    SYSTICK_ENABLE = 1,
    SYSTICK_INTERRUPT = 2,
    SYSTICK_CORE_CLOCK = 4,
    TRACE_ENABLE = 1 << 24,
    DWT_CYCLES_ENABLE = 1,
    /* Every priority but the highest, 0, which SysTick has after reset. */
    MASK_ALL_BUT_SYSTICK = 0x10
};

static int has_dwt;
static volatile uint32_t overflows;

/* SysTick has 24 bits and long operators exceed them. A mask that held this handler back (PRIMASK) would lose counts. */
void mn_systick_handler(void);
void mn_systick_handler(void) { overflows++; }

const char *mn_choose_counter(void) {
    DEBUG_MONITOR |= TRACE_ENABLE;
    DWT_CYCLES = 0;
    DWT_CONTROL |= DWT_CYCLES_ENABLE;
    const uint32_t before = DWT_CYCLES;
    for (volatile int i = 0; i < 10; i++) {
    }
    has_dwt = DWT_CYCLES != before;
    return has_dwt ? "dwt" : "systick";
}

static void mask_interrupts(uint32_t level) { __asm__ volatile("msr basepri, %0\n\tisb" ::"r"(level) : "memory"); }

void mn_board_start_counting(void) {
    mask_interrupts(MASK_ALL_BUT_SYSTICK);
    if (has_dwt) {
        DWT_CYCLES = 0;
        return;
    }
    SYSTICK_CONTROL = 0;
    overflows = 0;
    SYSTICK_RELOAD = SYSTICK_MOST;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ENABLE | SYSTICK_INTERRUPT | SYSTICK_CORE_CLOCK;
}

uint64_t mn_board_stop_counting(void) {
    uint64_t counts;
    if (has_dwt) {
        counts = DWT_CYCLES;
    } else {
        /* An overflow between the two readings shows in the second one. */
        uint32_t before, value;
        do {
            before = overflows;
            value = SYSTICK_VALUE;
        } while (before != overflows);
        SYSTICK_CONTROL = 0;
        counts = (uint64_t)before * (SYSTICK_MOST + 1U) + (SYSTICK_MOST - value);
    }
    mask_interrupts(0);
    return counts;
}
