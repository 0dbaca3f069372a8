/*
 * manifest.c - see manifest.h.
 *
 * A draft, manifests/<name>.json.tmp, is written, flushed and renamed; the name's lock
 * keeps two writers from sharing one.
 */
#include "store/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/dir.h"

#define SUFFIX       ".json"
#define DRAFT_SUFFIX ".json.tmp"
#define DIGEST_KIND  "sha256:"

enum { TEXT_MAX = 1024 * 1024 };

static enum err file_name(const char *name, const char *suffix,
                          char ret[static MODEL_NAME_MAX + sizeof DRAFT_SUFFIX],
                          struct error *error)
{
    enum err e = model_name_check(name, strlen(name), error);
    if (e == OK)
        snprintf(ret, MODEL_NAME_MAX + sizeof DRAFT_SUFFIX, "%s%s", name, suffix);
    return e;
}

/* --- reading ---------------------------------------------------------------------- */

static enum err missing(struct error *error, const char *field)
{
    return fail(error, ERR_PROTOCOL, "missing field `%s`", field);
}

static enum err need_string(const json_t *object, const char *field, const char **ret,
                            struct error *error)
{
    const char *text = NULL;
    enum err e = json_get_string(object, field, &text, error);
    if (e)
        return e;
    if (!text)
        return missing(error, field);
    *ret = text;
    return OK;
}

static enum err need_number(const json_t *object, const char *field, uint64_t *ret,
                            struct error *error)
{
    if (!json_object_get(object, field))
        return missing(error, field);
    return json_get_u64(object, field, ret, error);
}

static enum err read_source(const json_t *source, struct manifest *m, struct error *error)
{
    if (!json_is_object(source))
        return missing(error, "source");
    enum err e = need_string(source, "registry", &m->registry, error);
    if (e == OK)
        e = need_string(source, "repo", &m->repo, error);
    if (e == OK)
        e = need_string(source, "revision", &m->revision, error);
    if (e == OK)
        e = need_string(source, "filename", &m->filename, error);
    return e;
}

static enum err read_blob(const json_t *root, struct manifest *m, struct error *error)
{
    const char *blob = NULL;
    enum err e = need_string(root, "blob", &blob, error);
    if (e)
        return e;
    size_t kind = strlen(DIGEST_KIND);
    if (strncmp(blob, DIGEST_KIND, kind) != 0)
        return fail(error, ERR_PROTOCOL, "blob does not begin with \"" DIGEST_KIND "\"");
    return digest_read(blob + kind, strlen(blob + kind), &m->blob, error);
}

static enum err read_fields(const json_t *root, struct manifest *m, struct error *error)
{
    if (!json_is_object(root))
        return fail(error, ERR_PROTOCOL, "not an object");
    uint64_t version;
    const char *name;
    enum err e = need_number(root, "schema_version", &version, error);
    if (e == OK)
        e = need_string(root, "name", &name, error);
    if (e == OK)
        e = need_string(root, "format", &m->format, error);
    if (e == OK)
        e = read_blob(root, m, error);
    if (e == OK)
        e = need_number(root, "size_bytes", &m->size_bytes, error);
    if (e == OK)
        e = json_get_string(root, "license", &m->license, error);
    if (e == OK)
        e = read_source(json_object_get(root, "source"), m, error);
    if (e == OK)
        e = need_string(root, "produced_by", &m->produced_by, error);
    if (e == OK)
        e = need_string(root, "produced_at", &m->produced_at, error);
    return e;
}

static enum err read_text(int fd, const char *file, struct buf *text, struct error *error)
{
    for (;;) {
        enum err e = buf_reserve(text, 4096);
        if (e == ERR_FRAME_TOO_LARGE)
            return fail(error, ERR_PROTOCOL, "more than %d bytes", TEXT_MAX);
        if (e)
            return fail_nomem(error);
        ssize_t n = read(fd, text->at + text->len, text->cap - text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_sys(error, "cannot read manifest '%s'", file);
        if (n == 0)
            return OK;
        text->len += (size_t)n;
    }
}

static enum err parse(int fd, const char *file, struct manifest *m, struct error *error)
{
    CLEANUP(buf_done) struct buf text = { .max = TEXT_MAX };
    enum err e = read_text(fd, file, &text, error);
    if (e == OK)
        e = json_read(text.at, text.len, &m->tree, error);
    if (e == OK)
        e = read_fields(m->tree, m, error);
    return e;
}

enum err manifest_read(const struct store *s, const char *name, struct manifest *ret,
                       struct error *error)
{
    char file[MODEL_NAME_MAX + sizeof DRAFT_SUFFIX];
    CLEANUP(close_fd) int fd = -1;
    enum err e = file_name(name, SUFFIX, file, error);
    if (e)
        return e;
    e = s->manifests_fd < 0 ? ERR_NOT_FOUND
                            : dir_open_file(s->manifests_fd, file, O_RDONLY, &fd, NULL, error);
    if (e == ERR_NOT_FOUND)
        return fail(error, e, "there is no model \"%s\" in the store at '%s'", name, s->root);
    if (e)
        return e;

    struct error why;
    struct manifest m = { 0 };
    snprintf(m.name, sizeof m.name, "%s", name);
    e = parse(fd, file, &m, &why);
    if (e == OK) {
        *ret = m;
        return OK;
    }
    manifest_done(&m);
    if (e == ERR_SYSTEM || e == ERR_NO_MEMORY)
        return fail(error, e, "%s", why.message);
    return fail(error, ERR_PROTOCOL, "malformed manifest at %s/manifests/%s: %s", s->root, file,
                why.message);
}

void manifest_done(struct manifest *m)
{
    json_decref(m->tree);
    *m = (struct manifest){ 0 };
}

/* --- writing ---------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static json_t *build(const struct manifest *m)
{
    char blob[sizeof DIGEST_KIND + DIGEST_HEX], now[32];
    snprintf(blob, sizeof blob, DIGEST_KIND "%s", m->blob.hex);
    utc_now("%Y-%m-%dT%H:%M:%SZ", now, sizeof now);
    /* clang-format off */
    return json_pack("{s:i, s:s, s:s, s:s, s:I, s:s?, s:{s:s, s:s, s:s, s:s}, s:s, s:s}",
                     "schema_version", 1,
                     "name", m->name,
                     "format", m->format ? m->format : "gguf",
                     "blob", blob,
                     "size_bytes", (json_int_t)m->size_bytes,
                     "license", m->license,
                     "source",
                         "registry", or_empty(m->registry),
                         "repo", or_empty(m->repo),
                         "revision", or_empty(m->revision),
                         "filename", or_empty(m->filename),
                     "produced_by", m->produced_by,
                     "produced_at", m->produced_at ? m->produced_at : now);
    /* clang-format on */
}

static enum err write_text(int dir, const char *draft, const char *text, struct error *error)
{
    CLEANUP(close_fd) int fd = -1;
    enum err e = dir_new_file(dir, draft, &fd, error);
    if (e)
        return e;
    if (!write_all(fd, text, strlen(text)) || !write_all(fd, "\n", 1))
        return dir_fail(dir, draft, "cannot write", error);
    if (fsync(fd) < 0)
        return dir_fail(dir, draft, "cannot flush", error);
    return OK;
}

/* A planted link would be replaced, not followed; but who planted it should be noticed. */
static enum err refuse_link(int dir, const char *file, struct error *error)
{
    CLEANUP(close_fd) int fd = -1;
    enum err e = dir_open_file(dir, file, O_RDONLY, &fd, NULL, error);
    return e == ERR_NOT_FOUND ? no_error(error) : e;
}

static enum err put(const struct store *s, const char *name, const char *text, struct error *error)
{
    char file[MODEL_NAME_MAX + sizeof DRAFT_SUFFIX], draft[MODEL_NAME_MAX + sizeof DRAFT_SUFFIX];
    enum err e = file_name(name, SUFFIX, file, error);
    if (e == OK)
        e = file_name(name, DRAFT_SUFFIX, draft, error);
    if (e == OK)
        e = refuse_link(s->manifests_fd, file, error);
    if (e == OK)
        e = write_text(s->manifests_fd, draft, text, error);
    if (e)
        return e;
    if (renameat(s->manifests_fd, draft, s->manifests_fd, file) < 0)
        return dir_fail(s->manifests_fd, file, "cannot put in place", error);
    return dir_sync(s->manifests_fd, error);
}

enum err manifest_write(const struct store *s, const struct manifest *m, struct error *error)
{
    if (m->size_bytes > INT64_MAX)
        return fail(error, ERR_INVALID_REQUEST, "a model of %llu bytes",
                    (unsigned long long)m->size_bytes);
    CLEANUP(json_drop) json_t *tree = build(m);
    if (!tree)
        return fail(error, ERR_INVALID_REQUEST, "the manifest of \"%s\" would not be UTF-8",
                    m->name);
    CLEANUP(free_ptr) char *text = json_dumps(tree, JSON_INDENT(2));
    if (!text)
        return fail_nomem(error);
    return put(s, m->name, text, error);
}

/* --- all of them ---------------------------------------------------------------------- */

bool manifest_name_of(const char *file, char name[static MODEL_NAME_MAX + 1])
{
    size_t len = strlen(file), suffix = strlen(SUFFIX);
    if (len <= suffix || len - suffix > MODEL_NAME_MAX || strcmp(file + len - suffix, SUFFIX) != 0)
        return false;
    memcpy(name, file, len - suffix);
    name[len - suffix] = '\0';
    return model_name_check(name, len - suffix, NULL) == OK;
}

bool manifest_draft_of(const char *file)
{
    size_t len = strlen(file), suffix = strlen(DRAFT_SUFFIX);
    return len > suffix && strcmp(file + len - suffix, DRAFT_SUFFIX) == 0;
}

enum err manifest_remove(const struct store *s, const char *name, struct error *error)
{
    char file[MODEL_NAME_MAX + sizeof DRAFT_SUFFIX];
    enum err e = file_name(name, SUFFIX, file, error);
    if (e == OK)
        e = dir_unlink(s->manifests_fd, file, error);
    return e ? e : dir_sync(s->manifests_fd, error);
}

enum err references_read(const struct store *s, struct references *ret, struct error *error)
{
    CLEANUP(names_done) struct names files = { 0 };
    CLEANUP(references_done) struct references refs = { 0 };
    enum err e = s->manifests_fd < 0 ? OK : dir_names(s->manifests_fd, &files, error);
    if (e)
        return e;
    refs.at = calloc(files.n + 1, sizeof *refs.at);
    if (!refs.at)
        return fail_nomem(error);
    for (size_t i = 0; i < files.n; i++) {
        char name[MODEL_NAME_MAX + 1];
        if (!manifest_name_of(files.at[i], name))
            continue;
        struct manifest m;
        e = manifest_read(s, name, &m, error);
        if (e == ERR_NOT_FOUND) { /* removed since */
            no_error(error);
            continue;
        }
        if (e)
            return e;
        refs.at[refs.n++] = m.blob;
        manifest_done(&m);
    }
    *ret = (struct references){ TAKE(refs.at), refs.n };
    return OK;
}

bool references_have(const struct references *r, const struct digest *d)
{
    for (size_t i = 0; i < r->n; i++)
        if (digest_equal(&r->at[i], d))
            return true;
    return false;
}

void references_done(struct references *r)
{
    free(r->at);
    *r = (struct references){ 0 };
}
