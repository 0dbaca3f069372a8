/*
 * Whatever stands around a secret, it does not come through; and a line of the log is JSON
 * before its secrets are taken out and after it.
 */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "journal/record.h"
#include "journal/redact.h"

static const char secret[] = " hf_S3cretS3cretS3cret ";

static void assert_one_object(const struct buf *line)
{
    json_t *tree = json_loadb(line->at, line->len, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_is_object(tree));
    REQUIRE(!memchr(line->at, '\n', line->len));
    json_decref(tree);
}

/* A line with the secret somewhere in the input, which is cut to what a field shows. */
static void write_line(const uint8_t *data, size_t size, struct buf *out)
{
    static const struct timespec now = { 1764097445, 123456789 };
    char text[TEXT_SHOWN_MAX];
    size_t most = sizeof text - strlen(secret);
    size_t len = size < most ? size : most;
    size_t cut = len ? data[0] % len : 0;
    memcpy(text, data, cut);
    memcpy(text + cut, secret, strlen(secret));
    memcpy(text + cut + strlen(secret), data + cut, len - cut);

    struct record r;
    record_init(&r, "fuzz", LOG_INFO, "line");
    record_slice(&r, "peer_exe", (struct slice){ text, len + strlen(secret) });
    record_slice(&r, "req_id", (struct slice){ (const char *)data, len });
    record_number(&r, "cached_tokens", (int64_t)size);
    REQUIRE(record_put(&r, &now, out) == OK);
    out->len--; /* the newline */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redactor *redactor;
    if (!redactor)
        REQUIRE(redactor_new(&redactor, NULL) == OK);

    struct buf line, clean;
    buf_init(&line, ROOMY);
    buf_init(&clean, ROOMY);
    write_line(data, size, &line);
    assert_one_object(&line);
    REQUIRE(memmem(line.at, line.len, secret, strlen(secret)));
    REQUIRE(redact(redactor, line.at, line.len, &clean) == OK);
    assert_one_object(&clean);
    REQUIRE(!memmem(clean.at, clean.len, secret, strlen(secret) - 1));
    buf_done(&line);
    buf_done(&clean);
    return 0;
}
