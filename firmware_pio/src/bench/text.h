/* Reading and writing lines of text without the standard library's formatting. */
#ifndef MICRONAS_TEXT_H
#define MICRONAS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Each of these moves *text past what it recognised and returns 1, or returns 0 and leaves *text where it was. */
int mn_take(const char **text, const char *literal);
/* A literal followed by a space or the end. */
int mn_take_word(const char **text, const char *word);
/* Decimal digits without sign or leading zeros, lowest <= value <= highest. */
int mn_take_number(const char **text, int32_t lowest, int32_t highest, int32_t *value);
/* Exactly eight lower-case hexadecimal digits. */
int mn_take_hex(const char **text, uint32_t *value);
/* Base64 (RFC 4648, section 4) without padding, as far as it goes and there is room; returns how many bytes it is. */
int32_t mn_take_base64(const char **text, uint8_t *bytes, int32_t room);

/* A line under construction; what does not fit is dropped. */
typedef struct {
    char text[512];
    size_t length;
} mn_line;

void mn_put(mn_line *line, const char *text);
void mn_put_number(mn_line *line, uint64_t value);
void mn_put_hex(mn_line *line, uint32_t value);
/* Two hexadecimal digits. */
void mn_put_byte(mn_line *line, uint8_t value);

#endif
