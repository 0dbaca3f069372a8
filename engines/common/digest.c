/*
 * digest.c - see digest.h.
 *
 * pread() and not read(): the offset belongs to whoever loads the file afterwards.
 */
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>

#include "base/clock.h"

enum {
    CHUNK = 1024 * 1024,
    ALIVE_EVERY_MS = 1000,
};

static void free_context(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

static enum err digest_failed(struct error *error)
{
    return fail(error, ERR_INTERNAL, "libcrypto cannot compute SHA-256");
}

/* The bytes of `fd` to `hash`. */
static enum err feed(int fd, EVP_MD_CTX *hash, char *chunk,
                     enum err (*alive)(void *ctx, struct error *error), void *ctx,
                     struct error *error)
{
    int64_t next_sign = clock_ms() + ALIVE_EVERY_MS;
    for (off_t at = 0;;) {
        ssize_t n = pread(fd, chunk, CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_sys(error, "cannot read the model file");
        if (n == 0)
            return OK;
        if (!EVP_DigestUpdate(hash, chunk, (size_t)n))
            return digest_failed(error);
        at += n;
        if (clock_ms() >= next_sign) {
            enum err e = alive(ctx, error);
            if (e)
                return e;
            next_sign = clock_ms() + ALIVE_EVERY_MS;
        }
    }
}

enum err digest_file(int fd, char *ret, enum err (*alive)(void *ctx, struct error *error),
                     void *ctx, struct error *error)
{
    CLEANUP(free_context) EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CLEANUP(free_ptr) char *chunk = malloc(CHUNK);
    if (!hash || !chunk)
        return fail_nomem(error);
    if (!EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        return digest_failed(error);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* advice: its failure costs nothing */
    enum err e = feed(fd, hash, chunk, alive, ctx, error);
    if (e)
        return e;

    unsigned char digest[SHA256_HEX / 2];
    if (!EVP_DigestFinal_ex(hash, digest, NULL))
        return digest_failed(error);
    for (size_t i = 0; i < sizeof digest; i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[SHA256_HEX] = '\0';
    return OK;
}
