/* QEMU's netduinoplus2: an STM32F405 with a SysTick of 168 MHz; clocks, pins and watchdog are not modelled. */
#include "../board.h"
#include "../common/cycles.h"
#include "../common/registers.h"
#include "../common/uart_stm32f4.h"

static mn_board board = {.name = "qemu_cortex_m4", .cpu = "cortex-m4", .clock_hz = 168000000, .counter_hz = 168000000};

void mn_board_start(void) {
    mn_usart2_start(42000000, 115200);
    board.counter = mn_choose_counter();
}

const mn_board *mn_board_info(void) { return &board; }

void mn_board_feed_watchdog(void) {}

/* The machine's flash is twice as large as the F446's. */
const int8_t *mn_board_preloaded(size_t *bytes) {
    *bytes = 512 * 1024;
    return (const int8_t *)0x08080000U;
}
