/*
 * However the bytes are chopped, the lines and the errors are the same; and every
 * line that comes out is what line.h says: short enough, UTF-8 without NUL, and if it
 * is JSON, no deeper than allowed and with as many values as were counted.
 */
#include "fuzz.h"

#include <string.h>

#include "base/json.h"
#include "wire/line.h"

static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0;
    size_t i;
    const char *key;
    json_t *item;
    if (!json_is_array(value) && !json_is_object(value))
        return 0;
    json_array_foreach(value, i, item)
    {
        unsigned depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach((json_t *)value, key, item)
    {
        unsigned depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static size_t values_of(const json_t *value)
{
    size_t n = 1;
    size_t i;
    const char *key;
    json_t *item;
    json_array_foreach(value, i, item) n += values_of(item);
    json_object_foreach((json_t *)value, key, item) n += values_of(item);
    return n;
}

static void check_line(const struct line_reader *r, struct slice line)
{
    struct utf8 u = { 0 };
    REQUIRE(line.len > 0 && line.len <= r->max_line);
    REQUIRE(!memchr(line.at, '\n', line.len) && !memchr(line.at, '\0', line.len));
    REQUIRE(utf8_feed(&u, line.at, line.len) && utf8_complete(&u));

    CLEANUP(json_drop) json_t *tree = NULL;
    if (json_read(line.at, line.len, &tree, NULL) == OK) {
        REQUIRE(depth_of(tree) <= r->max_depth);
        REQUIRE(values_of(tree) == r->scan.values);
    }
}

static void put_piece(struct line_reader *r, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        char *at;
        size_t room;
        enum err e = line_reader_room(r, &at, &room);
        REQUIRE(e == OK && room > 0 && room <= LINE_READ_MAX);
        size_t part = n < room ? n : room;
        memcpy(at, bytes, part);
        line_reader_filled(r, part);
        bytes += part;
        n -= part;
    }
}

/* Every other line is taken and not looked at in place, if `take`. */
static enum err note_lines(struct line_reader *r, bool take, struct buf *notes)
{
    struct slice line;
    struct error error;
    enum err e;
    while ((e = line_reader_next(r, &line, &error)) == OK) {
        check_line(r, line);
        REQUIRE(buf_append(notes, line.at, line.len) == OK);
        REQUIRE(buf_append(notes, "\n", 1) == OK);
        if (take && notes->len % 2) {
            char *bytes;
            size_t len;
            REQUIRE(line_reader_take(r, &bytes, &len) == OK);
            REQUIRE(len <= notes->len && memcmp(bytes, notes->at + notes->len - 1 - len, len) == 0);
            free(bytes);
        }
    }
    if (e != ERR_AGAIN && e != ERR_CLOSED)
        REQUIRE(buf_append_str(notes, error.message) == OK);
    if (line_reader_pending(r) == 0)
        REQUIRE(!r->in.at);
    return e;
}

static struct buf converse(const uint8_t *data, size_t size, const uint8_t *limits, bool take,
                           struct knife knife)
{
    struct buf notes;
    struct line_reader r;
    enum err e = ERR_AGAIN;
    buf_init(&notes, ROOMY);
    line_reader_init(&r, 1 + limits[0] * (size_t)8, limits[1] % 16);
    while (size > 0 && e == ERR_AGAIN) {
        size_t n = knife_next(&knife, size);
        put_piece(&r, data, n);
        e = note_lines(&r, take, &notes);
        data += n;
        size -= n;
    }
    if (e == ERR_AGAIN) {
        line_reader_end(&r);
        e = note_lines(&r, take, &notes);
        REQUIRE(e != ERR_AGAIN);
    }
    line_reader_done(&r);
    return notes;
}

static void expect_same(const struct buf *whole, struct buf pieces)
{
    REQUIRE(pieces.len == whole->len);
    REQUIRE(pieces.len == 0 || memcmp(pieces.at, whole->at, pieces.len) == 0);
    buf_done(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { CHOICES = 3 };
    if (size < CHOICES)
        return 0;
    const uint8_t *bytes = data + CHOICES;
    size_t n = size - CHOICES;
    struct buf whole = converse(bytes, n, data, false, (struct knife){ n + 1, 0 });
    expect_same(&whole, converse(bytes, n, data, true, (struct knife){ 1, 0 }));
    expect_same(&whole, converse(bytes, n, data, true, (struct knife){ 1, data[2] + 1u }));
    buf_done(&whole);
    return 0;
}
