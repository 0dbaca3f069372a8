/*
 * poison.c - see poison.h.
 *
 * Suspects are few and die together: an array, looked through from its end.
 */
#include "core/poison.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

enum err poison_init(struct poison *p, struct error *error)
{
    p->n = 0;
    if (RAND_bytes(p->key, sizeof p->key) != 1)
        return fail(error, ERR_INTERNAL, "no random numbers for fingerprints");
    return OK;
}

enum err poison_fingerprint(const struct poison *p, const char *said, size_t len,
                            struct fingerprint *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!HMAC(EVP_sha256(), p->key, sizeof p->key, (const unsigned char *)said, len, digest, NULL))
        return ERR_NO_MEMORY;
    memcpy(ret->bytes, digest, sizeof ret->bytes);
    return OK;
}

/* --- suspects --------------------------------------------------------------- */

static void drop(struct poison *p, size_t at, size_t n)
{
    p->n -= n;
    memmove(&p->suspects[at], &p->suspects[at + n], (p->n - at) * sizeof p->suspects[0]);
}

static void forget_old(struct poison *p, int64_t now_ms)
{
    size_t n = 0;
    while (n < p->n && now_ms - p->suspects[n].died_ms >= SUSPECT_MS)
        n++;
    if (n > 0)
        drop(p, 0, n);
}

static struct suspect *find(struct poison *p, const struct fingerprint *print)
{
    for (size_t i = p->n; i > 0; i--)
        if (memcmp(&p->suspects[i - 1].print, print, sizeof *print) == 0)
            return &p->suspects[i - 1];
    return NULL;
}

static bool is_refused(const struct suspect *s)
{
    return s->deaths_alone >= DEATHS_ALONE_MAX;
}

enum verdict poison_judge(struct poison *p, const struct fingerprint *print, int64_t now_ms)
{
    forget_old(p, now_ms);
    const struct suspect *s = find(p, print);
    if (!s)
        return POISON_NONE;
    return is_refused(s) ? POISON_REFUSED : POISON_SUSPECT;
}

struct poison_counts poison_count(const struct poison *p, int64_t now_ms)
{
    struct poison_counts counts = { 0 };
    for (size_t i = 0; i < p->n; i++) {
        const struct suspect *s = &p->suspects[i];
        if (now_ms - s->died_ms >= SUSPECT_MS)
            continue;
        counts.suspects++;
        counts.refused += is_refused(s);
    }
    return counts;
}

void poison_accuse(struct poison *p, const struct fingerprint *print, bool alone, int64_t now_ms)
{
    struct suspect *known = find(p, print);
    struct suspect s = { .print = *print, .died_ms = now_ms, .deaths_alone = alone };
    if (known) {
        s.deaths_alone += known->deaths_alone;
        drop(p, (size_t)(known - p->suspects), 1);
    }
    if (p->n == SUSPECTS_MAX)
        drop(p, 0, 1);
    p->suspects[p->n++] = s;
}

void poison_clear(struct poison *p, const struct fingerprint *print)
{
    struct suspect *s = find(p, print);
    if (s)
        drop(p, (size_t)(s - p->suspects), 1);
}
