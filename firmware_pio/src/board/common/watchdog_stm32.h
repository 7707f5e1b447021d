/* The independent watchdog of STM32 chips (F4: RM0390 chapter 20, L5: RM0438 chapter 41). */
#ifndef MICRONAS_WATCHDOG_STM32_H
#define MICRONAS_WATCHDOG_STM32_H

#include "registers.h"

#define IWDG_KEY MN_REGISTER(0x40003000U)
#define IWDG_PRESCALER MN_REGISTER(0x40003004U)
#define IWDG_RELOAD MN_REGISTER(0x40003008U)

/* The longest period: 4096 * 256 clocks of 32 kHz, nearly 33 seconds. It cannot be stopped again. */
static inline void mn_watchdog_start(void) {
    IWDG_KEY = 0xCCCC;
    IWDG_KEY = 0x5555;
    IWDG_PRESCALER = 6;
    IWDG_RELOAD = 0xFFF;
    IWDG_KEY = 0xAAAA;
}

static inline void mn_watchdog_feed(void) { IWDG_KEY = 0xAAAA; }

#endif
