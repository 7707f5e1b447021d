/* ST NUCLEO-F446RE: 180 MHz, ST-Link's serial port on USART2 (PA2, PA3). Reference manual: RM0390. */
#include "../board.h"
#include "../common/cycles.h"
#include "../common/registers.h"
#include "../common/uart_stm32f4.h"
#include "../common/watchdog_stm32.h"

enum {
    RCC_CONTROL = 0x40023800,
    RCC_PLL = 0x40023804,
    RCC_CONFIGURATION = 0x40023808,
    RCC_AHB1_ENABLE = 0x40023830,
    RCC_APB1_ENABLE = 0x40023840,
    POWER_CONTROL = 0x40007000,
    POWER_STATUS = 0x40007004,
    FLASH_ACCESS = 0x40023C00,
    GPIOA_MODE = 0x40020000,
    GPIOA_ALTERNATE_LOW = 0x40020020
};

static mn_board board = {.name = "nucleo_f446re", .cpu = "cortex-m4", .clock_hz = 180000000, .counter_hz = 180000000};

/* HSI 16 MHz / 8 * 180 / 2 = 180 MHz: needs voltage scale 1 (its reset value) and over-drive. */
static void start_pll(void) {
    MN_REGISTER(RCC_APB1_ENABLE) |= 1U << 28; /* power control */
    MN_REGISTER(RCC_PLL) = 8U | 180U << 6 | 0U << 16 | 0U << 22 | 8U << 24 | 2U << 28;
    MN_REGISTER(RCC_CONTROL) |= 1U << 24;
    MN_REGISTER(POWER_CONTROL) |= 1U << 16; /* over-drive on */
    mn_wait_for(POWER_STATUS, 1U << 16, 1U << 16);
    MN_REGISTER(POWER_CONTROL) |= 1U << 17; /* and in use */
    mn_wait_for(POWER_STATUS, 1U << 17, 1U << 17);
    mn_wait_for(RCC_CONTROL, 1U << 25, 1U << 25);
}

static void use_pll(void) {
    /* 5 wait states at 3.3 V; prefetch and the instruction and data caches of the ART accelerator. */
    MN_REGISTER(FLASH_ACCESS) = 5U | 1U << 8 | 1U << 9 | 1U << 10;
    mn_wait_for(FLASH_ACCESS, 0xF, 5);
    MN_REGISTER(RCC_CONFIGURATION) = 5U << 10 | 4U << 13 | 2U; /* APB1 45 MHz, APB2 90 MHz, PLL */
    mn_wait_for(RCC_CONFIGURATION, 3U << 2, 2U << 2);
}

static void start_serial(void) {
    MN_REGISTER(RCC_AHB1_ENABLE) |= 1U;       /* port A */
    MN_REGISTER(RCC_APB1_ENABLE) |= 1U << 17; /* USART2 */
    MN_REGISTER(GPIOA_ALTERNATE_LOW) = (MN_REGISTER(GPIOA_ALTERNATE_LOW) & ~0xFF00U) | 0x7700U;
    MN_REGISTER(GPIOA_MODE) = (MN_REGISTER(GPIOA_MODE) & ~0xF0U) | 0xA0U;
    mn_usart2_start(45000000, 115200);
}

void mn_board_start(void) {
    start_pll();
    use_pll();
    start_serial();
    board.counter = mn_choose_counter();
    mn_watchdog_start();
}

const mn_board *mn_board_info(void) { return &board; }

void mn_board_feed_watchdog(void) { mn_watchdog_feed(); }
