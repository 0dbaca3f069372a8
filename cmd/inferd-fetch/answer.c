/*
 * answer.c - see answer.h.
 */
#include "answer.h"

#include <string.h>
#include <strings.h>

/* NULL if there is none.  Borrowed until the next request. */
static const char *header(CURL *easy, const char *name)
{
    struct curl_header *h;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

static bool digits(const char **at, uint64_t *ret)
{
    uint64_t n = 0;
    const char *c = *at;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (n > (INT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(*c - '0');
    }
    if (c == *at)
        return false;
    *at = c;
    *ret = n;
    return true;
}

static bool skip(const char **at, const char *word)
{
    size_t len = strlen(word);
    if (strncasecmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

bool content_range_read(const char *text, struct span *ret, uint64_t *ret_size)
{
    uint64_t first, last, size;
    if (!skip(&text, "bytes ") || !digits(&text, &first) || !skip(&text, "-") ||
        !digits(&text, &last) || !skip(&text, "/") || !digits(&text, &size) || *text)
        return false;
    if (first > last || last >= size)
        return false;
    *ret = (struct span){ first, last + 1 };
    *ret_size = size;
    return true;
}

static void take_validator(CURL *easy, const char *name, char ret[VALIDATOR_MAX])
{
    const char *value = header(easy, name);
    size_t len = value ? strlen(value) : 0;
    if (len >= VALIDATOR_MAX)
        len = 0;
    memcpy(ret, value ? value : "", len);
    ret[len] = '\0';
}

/* -1 if none is announced. */
static int64_t announced(CURL *easy)
{
    curl_off_t length = -1;
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

static enum outcome read_range(CURL *easy, const struct span *asked, struct answer *a,
                               struct error *error)
{
    const char *range = header(easy, "Content-Range");
    if (!range || !content_range_read(range, &a->body, &a->file.size))
        return give_up(error, TRANSPORT, "the 206 answer has no usable Content-Range ('%.60s')",
                       range ? range : "");
    uint64_t to = asked->to < a->file.size ? asked->to : a->file.size;
    if (a->body.from != asked->from || a->body.to != to)
        return give_up(error, TRANSPORT,
                       "the answer has Content-Range '%.60s'; asked for were bytes %llu to %llu",
                       range, (unsigned long long)asked->from, (unsigned long long)asked->to - 1);
    int64_t length = announced(easy);
    if (length >= 0 && (uint64_t)length != a->body.to - a->body.from)
        return give_up(error, TRANSPORT,
                       "the answer has Content-Length %lld, but Content-Range '%.60s'",
                       (long long)length, range);
    return PRESENT;
}

static void read_whole(CURL *easy, struct answer *a)
{
    int64_t length = announced(easy);
    a->file.size = length > 0 ? (uint64_t)length : 0;
    a->body = (struct span){ 0, length >= 0 ? (uint64_t)length : UINT64_MAX };
}

enum outcome answer_read(CURL *easy, const struct span *asked, struct answer *ret,
                         struct error *error)
{
    struct answer a = { .kind = ANSWER_REFUSAL };
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &a.status);
    if (a.status == 301 || a.status == 302 || a.status == 303 || a.status == 307 || a.status == 308)
        a.kind = ANSWER_REDIRECT;
    if (a.status == 200)
        a.kind = ANSWER_WHOLE;
    if (a.status == 206)
        a.kind = ANSWER_RANGE;
    if (a.kind == ANSWER_WHOLE || a.kind == ANSWER_RANGE) {
        const char *encoding = header(easy, "Content-Encoding");
        if (encoding && strcasecmp(encoding, "identity") != 0)
            return give_up(error, TRANSPORT,
                           "the answer is encoded ('%.40s'), which was not asked for", encoding);
        take_validator(easy, "ETag", a.file.etag);
        take_validator(easy, "Last-Modified", a.file.last_modified);
        enum outcome bad = PRESENT;
        if (a.kind == ANSWER_RANGE)
            bad = read_range(easy, asked, &a, error);
        else
            read_whole(easy, &a);
        if (bad)
            return bad;
    }
    *ret = a;
    return PRESENT;
}

bool identity_same(const struct identity *before, const struct identity *now)
{
    if (before->size && now->size && before->size != now->size)
        return false;
    if (before->etag[0] && now->etag[0])
        return strcmp(before->etag, now->etag) == 0;
    return !before->last_modified[0] || !now->last_modified[0] ||
           strcmp(before->last_modified, now->last_modified) == 0;
}

bool status_may_pass(long status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
           status == 503 || status == 504;
}
