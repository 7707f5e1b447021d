/* The line protocol between host and board: docs/protocol.md. */
#ifndef MICRONAS_PROTOCOL_H
#define MICRONAS_PROTOCOL_H

/* Takes one byte from the host; the one that ends a line has the request carried out and the reply written. */
void mn_protocol_receive(char byte);

#endif
