/*
 * digest.c - see digest.h.
 */
#include "store/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK = 1024 * 1024 };

enum err digest_read(const char *text, size_t len, struct digest *ret, struct error *error)
{
    if (len != DIGEST_HEX)
        return fail(error, ERR_INVALID_REQUEST, "a SHA-256 has 64 hex digits, not %zu", len);
    for (size_t i = 0; i < len; i++)
        if (!memchr("0123456789abcdef", text[i], 16))
            return fail(error, ERR_INVALID_REQUEST,
                        "a SHA-256 is written with lower-case hex digits; character %zu is none",
                        i + 1);
    memcpy(ret->hex, text, len);
    ret->hex[len] = '\0';
    return OK;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->hex, b->hex, sizeof a->hex) == 0;
}

enum err progress_tell(const struct progress *p, uint64_t done, uint64_t total, struct error *error)
{
    return p ? p->tell(p->ctx, done, total, error) : OK;
}

/* --- bytes in, digest out ------------------------------------------------------ */

static enum err unable(struct error *error)
{
    return fail(error, ERR_INTERNAL, "libcrypto cannot compute SHA-256");
}

enum err hasher_init(struct hasher *h, struct error *error)
{
    *h = (struct hasher){ .ctx = EVP_MD_CTX_new() };
    if (!h->ctx)
        return fail_nomem(error);
    return EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) ? OK : unable(error);
}

enum err hasher_add(struct hasher *h, const void *bytes, size_t n, struct error *error)
{
    if (!EVP_DigestUpdate(h->ctx, bytes, n))
        return unable(error);
    h->bytes += n;
    return OK;
}

enum err hasher_end(struct hasher *h, struct digest *ret, struct error *error)
{
    unsigned char raw[DIGEST_HEX / 2];
    if (!EVP_DigestFinal_ex(h->ctx, raw, NULL))
        return unable(error);
    for (size_t i = 0; i < sizeof raw; i++) {
        ret->hex[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        ret->hex[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    ret->hex[DIGEST_HEX] = '\0';
    return OK;
}

void hasher_done(struct hasher *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

/* --- whole files ---------------------------------------------------------------- */

/* All of `fd` into the hasher.  What a file gains meanwhile belongs to it, too. */
static enum err feed(int fd, const char *path, uint64_t total, struct hasher *h,
                     const struct progress *p, struct error *error)
{
    CLEANUP(free_ptr) char *chunk = malloc(CHUNK);
    if (!chunk)
        return fail_nomem(error);
    for (;;) {
        enum err e = progress_tell(p, h->bytes, total, error);
        if (e)
            return e;
        ssize_t n;
        while ((n = pread(fd, chunk, CHUNK, (off_t)h->bytes)) < 0 && errno == EINTR)
            ;
        if (n < 0)
            return fail_sys(error, "cannot read '%s'", path);
        if (n == 0)
            return OK;
        e = hasher_add(h, chunk, (size_t)n, error);
        if (e)
            return e;
    }
}

enum err digest_file(int fd, const char *path, const struct progress *p, struct digest *ret,
                     uint64_t *ret_size, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "cannot look at '%s'", path);
    CLEANUP(hasher_done) struct hasher h = { 0 };
    struct digest digest;
    enum err e = hasher_init(&h, error);
    if (e == OK)
        e = feed(fd, path, (uint64_t)st.st_size, &h, p, error);
    if (e == OK)
        e = hasher_end(&h, &digest, error);
    if (e)
        return e;
    *ret = digest;
    if (ret_size)
        *ret_size = h.bytes;
    return OK;
}
