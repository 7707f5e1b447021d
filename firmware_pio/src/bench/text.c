#include "text.h"

#include <string.h>

int mn_take(const char **text, const char *literal) {
    const size_t length = strlen(literal);
    if (strncmp(*text, literal, length) != 0) {
        return 0;
    }
    *text += length;
    return 1;
}

int mn_take_word(const char **text, const char *word) {
    const char *at = *text;
    if (!mn_take(&at, word) || (*at != ' ' && *at != '\0')) {
        return 0;
    }
    *text = at;
    return 1;
}

int mn_take_number(const char **text, int32_t lowest, int32_t highest, int32_t *value) {
    const char *at = *text;
    int64_t number = 0;
    while (*at >= '0' && *at <= '9' && number <= INT32_MAX) {
        number = 10 * number + (*at++ - '0');
    }
    if (at == *text || (**text == '0' && at != *text + 1) || number < lowest || number > highest) {
        return 0;
    }
    *value = (int32_t)number;
    *text = at;
    return 1;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

int mn_take_hex(const char **text, uint32_t *value) {
    uint32_t number = 0;
    for (int i = 0; i < 8; i++) {
        const int digit = hex_digit((*text)[i]);
        if (digit < 0) {
            return 0;
        }
        number = number << 4 | (uint32_t)digit;
    }
    *value = number;
    *text += 8;
    return 1;
}

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    return c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

int32_t mn_take_base64(const char **text, uint8_t *bytes, int32_t room) {
    uint32_t held = 0, bits = 0;
    int32_t count = 0;
    for (int digit; count < room && (digit = base64_digit(**text)) >= 0; ++*text) {
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[count++] = (uint8_t)(held >> bits);
        }
    }
    return count;
}

void mn_put(mn_line *line, const char *text) {
    while (*text != '\0' && line->length < sizeof line->text - 1) {
        line->text[line->length++] = *text++;
    }
    line->text[line->length] = '\0';
}

void mn_put_number(mn_line *line, uint64_t value) {
    char digits[21];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    mn_put(line, at);
}

void mn_put_hex(mn_line *line, uint32_t value) {
    char digits[9] = {0};
    for (int i = 0; i < 8; i++) {
        digits[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15U];
    }
    mn_put(line, digits);
}

void mn_put_byte(mn_line *line, uint8_t value) {
    const char digits[3] = {"0123456789abcdef"[value >> 4], "0123456789abcdef"[value & 15U], '\0'};
    mn_put(line, digits);
}
