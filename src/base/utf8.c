/*
 * utf8.c - a state machine of one number and one range.
 *
 * What may follow a lead byte differs only in the second byte (RFC 3629, section
 * 4): E0 and F0 exclude overlong forms, ED surrogates, F4 what is above
 * U+10FFFF.  So the state is how many bytes are missing and the range of the
 * next one.
 */
#include "base/utf8.h"

#include <string.h>

/* Takes a lead byte; false if it is none. */
static bool begin(struct utf8 *u, uint8_t lead)
{
    u->low = 0x80;
    u->high = 0xBF;
    if (lead < 0x80) {
        u->need = 0;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
        u->need = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        u->need = 2;
        if (lead == 0xE0)
            u->low = 0xA0;
        if (lead == 0xED)
            u->high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        u->need = 3;
        if (lead == 0xF0)
            u->low = 0x90;
        if (lead == 0xF4)
            u->high = 0x8F;
    } else {
        return false;
    }
    return true;
}

/* How many of the `n` bytes are ASCII before the first that is not. */
static size_t ascii_run(const char *bytes, size_t n)
{
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < n && (uint8_t)bytes[i] < 0x80)
        i++;
    return i;
}

static bool continues(char byte)
{
    return ((uint8_t)byte & 0xC0) == 0x80;
}

/* How many bytes at the front are whole characters of two bytes, or of three whose
 * second byte may be any: nearly all text that is not ASCII, without the state. */
static size_t common_run(const char *bytes, size_t n)
{
    size_t i = 0;
    for (;;) {
        uint8_t lead = i < n ? (uint8_t)bytes[i] : 0;
        if (lead >= 0xC2 && lead <= 0xDF && n - i >= 2 && continues(bytes[i + 1]))
            i += 2;
        else if (lead >= 0xE1 && lead <= 0xEF && lead != 0xED && n - i >= 3 &&
                 continues(bytes[i + 1]) && continues(bytes[i + 2]))
            i += 3;
        else
            return i;
    }
}

bool utf8_feed(struct utf8 *u, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if (u->need == 0) {
            i += ascii_run(bytes + i, n - i);
            size_t run = common_run(bytes + i, n - i);
            i += run;
            if (run == 0 && i < n && !begin(u, (uint8_t)bytes[i++]))
                return false;
        } else {
            uint8_t b = (uint8_t)bytes[i++];
            if (b < u->low || b > u->high)
                return false;
            u->low = 0x80;
            u->high = 0xBF;
            u->need--;
        }
    }
    return true;
}

/* Length of the character at the front of `bytes`; 0 if there is none. */
static size_t character(const char *bytes, size_t n)
{
    struct utf8 u = { 0 };
    for (size_t i = 0; i < n && i < 4; i++) {
        if (!utf8_feed(&u, bytes + i, 1))
            return 0;
        if (utf8_complete(&u))
            return i + 1;
    }
    return 0;
}

void utf8_scrub(char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t len = character(bytes + i, n - i);
        if (len == 0)
            bytes[i++] = '?';
        i += len;
    }
}

void utf8_tame(char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)bytes[i];
        bool c1 = c == 0xC2 && i + 1 < n && (uint8_t)bytes[i + 1] < 0xA0;
        if (c < 0x20 || c == 0x7F || c1)
            bytes[i] = '?';
        if (c1)
            bytes[++i] = '?';
    }
}

size_t utf8_whole(const char *bytes, size_t n)
{
    /* The last character starts at most four bytes before the end. */
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        struct utf8 u = { 0 };
        if (((uint8_t)bytes[n - back] & 0xC0) == 0x80)
            continue;
        if (begin(&u, (uint8_t)bytes[n - back]) && u.need >= back)
            return n - back;
        break;
    }
    return n;
}
