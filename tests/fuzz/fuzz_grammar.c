/*
 * Whatever a grammar is made of, it is read within bounds and judged; what is refused is
 * refused with a sentence, in one line.
 */
#include "fuzz.h"

#include <string.h>

#include "llama/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = { .message = "" };
    struct slice text = { (const char *)data, size };
    if (size > GRAMMAR_BYTES_MAX || memchr(data, '\0', size))
        return 0;
    enum err e = grammar_check(text, &error);
    REQUIRE(e == OK || e == ERR_INVALID_REQUEST);
    REQUIRE((e == OK) == (error.message[0] == '\0'));
    REQUIRE(!strchr(error.message, '\n'));
    return 0;
}
