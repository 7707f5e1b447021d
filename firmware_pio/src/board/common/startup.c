/* Reset: memory, FPU, main. All interrupts but SysTick stay disabled for good. */
#include <stdint.h>
#include <string.h>

#include "registers.h"

extern uint32_t mn_data_source[], mn_data_start[], mn_data_end[], mn_bss_start[], mn_bss_end[], mn_stack_top[];

int main(void);
void mn_systick_handler(void);

/* A fault is a defect of the firmware: stay here until the watchdog resets a real board or the host restarts an emulated
 * one. */
static void stop(void) {
    for (;;) {
    }
}

__attribute__((noreturn)) void mn_reset(void) {
    /* Before anything else: compilers may keep values in FPU registers. */
    SCB_COPROCESSORS |= 0xFU << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    memcpy(mn_data_start, mn_data_source, (size_t)((uint8_t *)mn_data_end - (uint8_t *)mn_data_start));
    memset(mn_bss_start, 0, (size_t)((uint8_t *)mn_bss_end - (uint8_t *)mn_bss_start));
    main();
    stop();
    __builtin_unreachable();
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = mn_stack_top}, {mn_reset}, {stop}, {stop}, {stop}, {stop}, {stop}, {stop}, {.stack = 0}, {.stack = 0},
    {.stack = 0}, {stop}, {stop}, {.stack = 0}, {stop}, {mn_systick_handler}};
