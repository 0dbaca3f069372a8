/*
 * import.c - a file that somebody has becomes a model.
 *
 * What is wrong with the order is found before the store is touched; what is wrong with
 * the bytes, before they get a blob's name.
 */
#include "store/import.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/utf8.h"
#include "store/manifest.h"
#include "store/name.h"
#include "store/staging.h"

const char *taken_name(enum taken how)
{
    static const char *const names[] = {
        [TAKEN_SHARED] = "shared", [TAKEN_LINKED] = "linked", [TAKEN_COPIED] = "copied"
    };
    return names[how];
}

/* Messages show at most this much of what should have been a digest. */
enum { SHOWN_MAX = 100 };

/* Whatever the case of its letters. */
static enum err read_expected(const char *text, struct digest *ret, struct error *error)
{
    char lower[DIGEST_HEX];
    size_t len = strlen(text);
    for (size_t i = 0; i < len && i < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    if (len != DIGEST_HEX || digest_read(lower, len, ret, NULL) != OK)
        return fail(error, ERR_INVALID_REQUEST,
                    "--expect-sha256 must be 64 hex characters (got \"%.*s\")", SHOWN_MAX, text);
    return OK;
}

static enum err open_source(const char *path, int *ret_fd, struct error *error)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        enum err code = errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
        return fail(error, code, "cannot open '%s': %s", path, strerror(errno));
    }
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(error, ERR_INVALID_REQUEST, "%s is not a regular file", path);
    *ret_fd = TAKE_FD(fd);
    return OK;
}

static bool has_blob(const struct store *s, const struct digest *d)
{
    CLEANUP(close_fd) int fd = -1;
    return store_blob_open(s, d, &fd, NULL, NULL) == OK;
}

static enum err take_in(const struct store *s, const struct import_order *order,
                        const struct digest *expected, int source, struct import_result *ret,
                        struct error *error)
{
    CLEANUP(staging_done) struct staging st = STAGING_NONE;
    enum err e =
        staging_take(&st, s, order->name, source, order->file, order->link, order->progress, error);
    if (e)
        return e;
    if (expected && !digest_equal(expected, &st.digest))
        return fail(error, ERR_MISMATCH,
                    "SHA-256 mismatch: expected %s, file is %s (nothing imported)", expected->hex,
                    st.digest.hex);
    e = staging_verify(&st, order->progress, error);
    if (e)
        return e;
    *ret = (struct import_result){ st.digest, st.size, st.how, has_blob(s, &st.digest) };
    return staging_publish(&st, error);
}

static enum err write_manifest(const struct store *s, const struct import_order *order,
                               const struct import_result *result, struct error *error)
{
    const char *slash = strrchr(order->file, '/');
    CLEANUP(free_ptr) char *filename = strdup(slash ? slash + 1 : order->file);
    if (!filename)
        return fail_nomem(error);
    utf8_scrub(filename, strlen(filename)); /* a path may be anything, JSON may not */
    struct manifest m = {
        .blob = result->digest,
        .size_bytes = result->size,
        .registry = "local-import",
        .filename = filename,
        .produced_by = order->produced_by,
    };
    snprintf(m.name, sizeof m.name, "%s", order->name);
    return manifest_write(s, &m, error);
}

enum err store_import(struct store *s, const struct import_order *order, struct import_result *ret,
                      struct error *error)
{
    CLEANUP(close_fd) int source = -1;
    CLEANUP(close_fd) int lock = -1;
    struct digest expected;
    struct import_result result;
    enum err e = model_name_check(order->name, strlen(order->name), error);
    if (e == OK && order->expect_sha256)
        e = read_expected(order->expect_sha256, &expected, error);
    if (e == OK)
        e = open_source(order->file, &source, error);
    if (e == OK)
        e = store_begin_write(s, error);
    if (e == OK)
        e = store_lock_name(s, order->name, "written", false, &lock, error);
    if (e == OK)
        e = take_in(s, order, order->expect_sha256 ? &expected : NULL, source, &result, error);
    if (e == OK)
        e = write_manifest(s, order, &result, error);
    if (e == OK)
        *ret = result;
    return e;
}
