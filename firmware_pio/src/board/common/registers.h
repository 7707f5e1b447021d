/* Registers by address, and those of the core itself (ARMv7-M and ARMv8-M architecture reference manuals). */
#ifndef MICRONAS_REGISTERS_H
#define MICRONAS_REGISTERS_H

#include <stdint.h>

#define MN_REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CONTROL MN_REGISTER(0xE000E010U)
#define SYSTICK_RELOAD MN_REGISTER(0xE000E014U)
#define SYSTICK_VALUE MN_REGISTER(0xE000E018U)
#define SCB_COPROCESSORS MN_REGISTER(0xE000ED88U)
#define DEBUG_MONITOR MN_REGISTER(0xE000EDFCU)
#define DWT_CONTROL MN_REGISTER(0xE0001000U)
#define DWT_CYCLES MN_REGISTER(0xE0001004U)

/* Waits for bits that a real chip sets within microseconds; emulators that do not model them must not stop us. */
static inline void mn_wait_for(uint32_t address, uint32_t mask, uint32_t value) {
    for (uint32_t tries = 100000; tries > 0 && (MN_REGISTER(address) & mask) != value; tries--) {
    }
}

#endif
