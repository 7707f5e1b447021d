/* USART of the STM32F4 (reference manual RM0390, chapter 25), polled. */
#ifndef MICRONAS_UART_STM32F4_H
#define MICRONAS_UART_STM32F4_H

#include <stddef.h>
#include <stdint.h>

void mn_usart2_start(uint32_t peripheral_hz, uint32_t baud);

#endif
