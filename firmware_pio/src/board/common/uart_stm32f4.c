#include "uart_stm32f4.h"

#include "../board.h"
#include "registers.h"

#define USART2_STATUS MN_REGISTER(0x40004400U)
#define USART2_DATA MN_REGISTER(0x40004404U)
#define USART2_BAUD MN_REGISTER(0x40004408U)
#define USART2_CONTROL1 MN_REGISTER(0x4000440CU)

enum { RECEIVED = 1 << 5, OVERRUN = 1 << 3, TRANSMIT_EMPTY = 1 << 7, ENABLE = 1 << 13, TRANSMIT = 1 << 3, RECEIVE = 1 << 2 };

void mn_usart2_start(uint32_t peripheral_hz, uint32_t baud) {
    USART2_BAUD = (peripheral_hz + baud / 2) / baud;
    USART2_CONTROL1 = ENABLE | TRANSMIT | RECEIVE;
}

int mn_board_read(void) {
    /* Reading the data after the status also clears an overrun, which would otherwise block reception. */
    const uint32_t status = USART2_STATUS;
    if (status & (RECEIVED | OVERRUN)) {
        const uint32_t byte = USART2_DATA;
        return status & RECEIVED ? (int)(byte & 0xFFU) : -1;
    }
    return -1;
}

void mn_board_write(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (!(USART2_STATUS & TRANSMIT_EMPTY)) {
        }
        USART2_DATA = (uint8_t)bytes[i];
    }
}
