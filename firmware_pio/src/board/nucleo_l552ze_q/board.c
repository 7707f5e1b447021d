/* ST NUCLEO-L552ZE-Q: 110 MHz, ST-Link's serial port on LPUART1 (PG7, PG8), TrustZone off. Reference manual: RM0438. */
#include "../board.h"
#include "../common/cycles.h"
#include "../common/registers.h"
#include "../common/watchdog_stm32.h"

enum {
    RCC_CONTROL = 0x40021000,
    RCC_CONFIGURATION = 0x40021008,
    RCC_PLL = 0x4002100C,
    RCC_AHB2_ENABLE = 0x4002104C,
    RCC_APB1_ENABLE1 = 0x40021058,
    RCC_APB1_ENABLE2 = 0x4002105C,
    POWER_CONTROL1 = 0x40007000,
    POWER_CONTROL2 = 0x40007004,
    POWER_STATUS2 = 0x40007014,
    FLASH_ACCESS = 0x40022000,
    CACHE_CONTROL = 0x40030400,
    GPIOG_MODE = 0x42021800,
    GPIOG_ALTERNATE_LOW = 0x42021820,
    GPIOG_ALTERNATE_HIGH = 0x42021824
};

#define LPUART1_CONTROL1 MN_REGISTER(0x40008000U)
#define LPUART1_BAUD MN_REGISTER(0x4000800CU)
#define LPUART1_STATUS MN_REGISTER(0x4000801CU)
#define LPUART1_CLEAR MN_REGISTER(0x40008020U)
#define LPUART1_RECEIVED MN_REGISTER(0x40008024U)
#define LPUART1_TRANSMIT MN_REGISTER(0x40008028U)

enum { CLOCK_HZ = 110000000, BAUD = 115200, OVERRUN = 1 << 3, RECEIVED = 1 << 5, TRANSMIT_EMPTY = 1 << 7 };

static mn_board board = {
    .name = "nucleo_l552ze_q", .cpu = "cortex-m33", .clock_hz = CLOCK_HZ, .counter_hz = CLOCK_HZ};

/* MSI 4 MHz * 55 / 2 = 110 MHz: needs core voltage range 0. */
static void start_clock(void) {
    MN_REGISTER(RCC_APB1_ENABLE1) |= 1U << 28; /* power control */
    MN_REGISTER(POWER_CONTROL1) &= ~(3U << 9);
    mn_wait_for(POWER_STATUS2, 1U << 10, 0);
    MN_REGISTER(FLASH_ACCESS) = 5U;
    mn_wait_for(FLASH_ACCESS, 0xF, 5);
    MN_REGISTER(RCC_PLL) = 1U | 0U << 4 | 55U << 8 | 1U << 24;
    MN_REGISTER(RCC_CONTROL) |= 1U << 24;
    mn_wait_for(RCC_CONTROL, 1U << 25, 1U << 25);
    /* Above 80 MHz the clock must be raised in two steps, a microsecond apart (RM0438, "System clock selection"). */
    MN_REGISTER(RCC_CONFIGURATION) = 8U << 4 | 3U;
    mn_wait_for(RCC_CONFIGURATION, 3U << 2, 3U << 2);
    for (volatile int i = 0; i < 100; i++) {
    }
    MN_REGISTER(RCC_CONFIGURATION) = 3U;
    MN_REGISTER(CACHE_CONTROL) = 1U;
}

static void start_serial(void) {
    MN_REGISTER(POWER_CONTROL2) |= 1U << 9; /* VDDIO2 supplies the pins from PG2 up; it is off after reset */
    MN_REGISTER(RCC_AHB2_ENABLE) |= 1U << 6;
    MN_REGISTER(RCC_APB1_ENABLE2) |= 1U;
    MN_REGISTER(GPIOG_ALTERNATE_LOW) = (MN_REGISTER(GPIOG_ALTERNATE_LOW) & ~(0xFU << 28)) | 8U << 28;
    MN_REGISTER(GPIOG_ALTERNATE_HIGH) = (MN_REGISTER(GPIOG_ALTERNATE_HIGH) & ~0xFU) | 8U;
    MN_REGISTER(GPIOG_MODE) = (MN_REGISTER(GPIOG_MODE) & ~(0xFU << 14)) | 0xAU << 14;
    LPUART1_BAUD = (uint32_t)((256ULL * CLOCK_HZ + BAUD / 2) / BAUD);
    LPUART1_CONTROL1 = 1U | 1U << 2 | 1U << 3; /* enable, receive, transmit */
}

void mn_board_start(void) {
    start_clock();
    start_serial();
    board.counter = mn_choose_counter();
    mn_watchdog_start();
}

const mn_board *mn_board_info(void) { return &board; }

int mn_board_read(void) {
    const uint32_t status = LPUART1_STATUS;
    if (status & OVERRUN) {
        LPUART1_CLEAR = OVERRUN;
    }
    return status & RECEIVED ? (int)(LPUART1_RECEIVED & 0xFFU) : -1;
}

void mn_board_write(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (!(LPUART1_STATUS & TRANSMIT_EMPTY)) {
        }
        LPUART1_TRANSMIT = (uint8_t)bytes[i];
    }
}

void mn_board_feed_watchdog(void) { mn_watchdog_feed(); }
