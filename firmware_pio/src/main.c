#include "bench/protocol.h"
#include "board/board.h"

int main(void) {
    mn_board_start();
    for (;;) {
        const int byte = mn_board_read();
        mn_board_feed_watchdog();
        if (byte >= 0) {
            mn_protocol_receive((char)byte);
        }
    }
}
