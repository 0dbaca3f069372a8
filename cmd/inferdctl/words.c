/*
 * words.c - see words.h.
 */
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

struct words words_bytes(uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    struct words w;
    if (bytes < 1024) {
        snprintf(w.text, sizeof w.text, "%u B", (unsigned)bytes);
        return w;
    }
    double amount = (double)bytes / 1024;
    size_t unit = 0;
    for (; amount >= 1023.95 && unit + 1 < ARRAY_LEN(units); unit++)
        amount /= 1024;
    snprintf(w.text, sizeof w.text, "%.1f %s", amount, units[unit]);
    return w;
}

struct words words_seconds(uint64_t seconds)
{
    struct words w;
    unsigned long long hours = seconds / 3600;
    unsigned minutes = (unsigned)(seconds / 60 % 60), rest = (unsigned)(seconds % 60);
    if (hours > 9999)
        snprintf(w.text, sizeof w.text, "very long");
    else if (hours > 0)
        snprintf(w.text, sizeof w.text, "%llu:%02u:%02u", hours, minutes, rest);
    else
        snprintf(w.text, sizeof w.text, "%u:%02u", minutes, rest);
    return w;
}

json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    CLEANUP(free_ptr) char *copy = strdup(text);
    if (!copy)
        return NULL;
    utf8_scrub(copy, strlen(copy));
    return json_string(copy);
}

bool output_json(struct output *o, json_t *object)
{
    CLEANUP(json_drop) json_t *taken = object;
    CLEANUP(free_ptr) char *line = taken ? json_dumps(taken, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!line) {
        o->broken = ENOMEM;
        return false;
    }
    return output_line(o, line, strlen(line));
}
