/*
 * fetch.c - see fetch.h.
 *
 *     the manifest names the digest, and the blob is there   done, nothing is hashed
 *     lock the name
 *     the blob is there                                      hash it; write the manifest
 *     another tool's cache has the digest                    take it in
 *     the URL                                                download, verify, publish
 *
 * The manifest comes last in every case, so a name never means bytes that are not there.
 */
#include "fetch.h"

#include <string.h>

#include "base/log.h"
#include "store/import.h"
#include "store/manifest.h"
#include "transfer.h"
#include "url.h"

struct fetch {
    const struct options *options;
    struct events *events;
    struct store store;
    int lock; /* of the name; -1: not held */
    char blob_path[STORE_PATH_MAX];
    const char *how; /* the model came to be present; NULL: it is not */
    uint64_t size;
    uint64_t received;
    struct error *error;
};

/* --- what is there ---------------------------------------------------------- */

/* Does the manifest say what was asked for, and is it true as far as names go? */
static enum outcome check_manifest(struct fetch *f)
{
    struct error error;
    CLEANUP(manifest_done) struct manifest m = { .tree = NULL };
    enum err e = manifest_read(&f->store, f->options->name, &m, &error);
    if (e == ERR_NOT_FOUND)
        return PRESENT;
    if (e == ERR_PROTOCOL) {
        log_warn("%s; it will be written anew", error.message);
        return PRESENT;
    }
    if (e)
        return outcome_of(fail(f->error, e, "%s", error.message));
    if (!digest_equal(&m.blob, &f->options->digest)) {
        log_warn("model \"%s\" was sha256:%s so far", f->options->name, m.blob.hex);
        return PRESENT;
    }
    CLEANUP(close_fd) int fd = -1;
    e = store_blob_open(&f->store, &f->options->digest, &fd, &f->size, f->error);
    if (!e)
        f->how = "manifest";
    return e == ERR_NOT_FOUND ? PRESENT : outcome_of(e);
}

static enum outcome lock_name(struct fetch *f)
{
    const char *name = f->options->name;
    enum err e = store_begin_write(&f->store, f->error);
    if (!e)
        e = store_lock_name(&f->store, name, "fetched", false, &f->lock, f->error);
    if (e != ERR_BUSY || !f->options->wait)
        return outcome_of(e);
    log_info("%s; waiting", f->error->message);
    events_waiting_for_lock(f->events, f->error->message);
    e = store_lock_name(&f->store, name, "fetched", true, &f->lock, f->error);
    /* The other one has probably brought it. */
    return e ? outcome_of(e) : check_manifest(f);
}

static enum outcome quarantined(struct fetch *f, const char *from, const struct digest *found,
                                const char *to)
{
    const char *expected = f->options->digest.hex;
    events_quarantine(f->events, from, expected, found->hex, to);
    return give_up(f->error, HASH_MISMATCH,
                   "SHA-256 mismatch (expected %s, got %s); quarantined to %s", expected,
                   found->hex, to);
}

/* A blob without a manifest: an earlier run ended between the two, or another name has it. */
static enum outcome check_blob(struct fetch *f)
{
    const struct digest *wanted = &f->options->digest;
    CLEANUP(close_fd) int fd = -1;
    enum err e = store_blob_open(&f->store, wanted, &fd, &f->size, f->error);
    if (e)
        return e == ERR_NOT_FOUND ? PRESENT : outcome_of(e);
    events_verify(f->events, f->blob_path);
    struct digest found;
    e = digest_file(fd, f->blob_path, NULL, &found, &f->size, f->error);
    if (e)
        return outcome_of(e);
    if (digest_equal(&found, wanted)) {
        f->how = "blob";
        return PRESENT;
    }
    char to[STORE_PATH_MAX];
    e = store_blob_quarantine(&f->store, wanted, "sha-mismatch", to, f->error);
    if (e)
        return outcome_of(e);
    (void)quarantined(f, f->blob_path, &found, to);
    log_warn("%s", f->error->message);
    return PRESENT;
}

static enum outcome adopt(struct fetch *f)
{
    const struct adopt_order order = { .name = f->options->name,
                                       .digest = &f->options->digest,
                                       .size = f->options->size,
                                       .dirs = f->options->adopt_dirs };
    struct adopt_result found;
    enum err e = store_adopt(&f->store, &order, &found, f->error);
    if (e)
        return e == ERR_NOT_FOUND ? PRESENT : outcome_of(e);
    f->size = found.size;
    f->how = taken_name(found.how);
    events_adopted(f->events, found.source, f->how, found.size);
    log_info("took %s in (%s): %llu bytes need not be downloaded", found.source, f->how,
             (unsigned long long)found.size);
    return PRESENT;
}

/* --- the network ------------------------------------------------------------ */

static enum outcome check_source(const struct fetch *f)
{
    const struct options *o = f->options;
    if (!o->url)
        return give_up(f->error, NO_SOURCE, "model \"%s\" has no source_url and no manifest exists",
                       o->name);
    enum outcome bad = url_check("model URL", o->url, f->error);
    if (bad)
        return bad;
    if (o->offline)
        return give_up(f->error, OFFLINE,
                       "model \"%s\" is not in the model store and --offline was given; import it "
                       "with `inferdctl import --name %s <path.gguf>`",
                       o->name, o->name);
    return PRESENT;
}

/* The sink is whole: is it what was asked for? */
static enum outcome verify(struct fetch *f, struct partial *partial, struct sink *sink)
{
    char path[STORE_PATH_MAX], to[STORE_PATH_MAX];
    struct digest found;
    store_partial_path(&f->store, &f->options->digest, path);
    events_verify(f->events, path);
    enum err e = sink_finish(sink, f->size, &found, f->error);
    if (e)
        return outcome_of(e);
    if (digest_equal(&found, &f->options->digest)) {
        e = partial_publish(partial, f->error);
        return e ? FINALISE : PRESENT;
    }
    e = partial_quarantine(partial, "sha-mismatch", to, f->error);
    return e ? outcome_of(e) : quarantined(f, path, &found, to);
}

static enum outcome download_into(struct fetch *f, struct partial *partial)
{
    CLEANUP(sink_done) struct sink sink = { .journal.fd = -1 };
    enum err e = sink_open(&sink, partial, f->events->source_url, f->error);
    enum outcome bad = e ? outcome_of(e) : transfer_global_init(f->error);
    if (bad)
        return bad;
    const struct transfer_order order = { f->options, &f->store, &sink, f->events };
    struct transfer_result result;
    bad = transfer_run(&order, &result, f->error);
    transfer_global_done();
    if (bad)
        return bad;
    f->size = result.size;
    f->received = result.received;
    f->how = "download";
    return verify(f, partial, &sink);
}

static enum outcome download(struct fetch *f)
{
    struct partial partial;
    enum outcome bad = check_source(f);
    if (bad)
        return bad;
    enum err e = partial_open(&partial, &f->store, &f->options->digest, f->options->wait, f->error);
    if (e)
        return outcome_of(e);
    /* Whoever had the partial until now may have published it, under another name. */
    bad = check_blob(f);
    if (!bad && f->how)
        bad = outcome_of(partial_discard(&partial, f->error));
    else if (!bad)
        bad = download_into(f, &partial);
    partial_done(&partial);
    return bad;
}

/* --- all of it -------------------------------------------------------------- */

static enum outcome write_manifest(const struct fetch *f)
{
    const struct options *o = f->options;
    char host[URL_HOST_MAX] = "", filename[URL_HOST_MAX] = "";
    struct manifest m = { .blob = o->digest,
                          .size_bytes = f->size,
                          .license = o->license,
                          .registry = host,
                          .filename = filename,
                          .produced_by = "inferd/" INFERD_VERSION };
    strcpy(m.name, o->name); /* checked: it fits */
    if (o->url) {
        (void)url_host(o->url, host);
        url_filename(o->url, filename);
    }
    return outcome_of(manifest_write(&f->store, &m, f->error));
}

static enum outcome run(struct fetch *f)
{
    store_blob_path(&f->store, &f->options->digest, f->blob_path);
    events_checking(f->events, f->blob_path);
    enum outcome bad = check_manifest(f);
    if (bad || f->how)
        return bad;
    bad = lock_name(f);
    if (bad || f->how)
        return bad;
    bad = check_blob(f);
    if (!bad && !f->how)
        bad = adopt(f);
    if (!bad && !f->how)
        bad = download(f);
    return bad ? bad : write_manifest(f);
}

enum outcome fetch_run(const struct options *options, struct events *events, struct error *error)
{
    struct fetch f = { .options = options, .events = events, .lock = -1, .error = error };
    CLEANUP(free_ptr) char *root = NULL;
    enum err e = store_find(options->store, &root, error);
    if (!e)
        e = store_open(&f.store, root, error);
    if (e)
        return outcome_of(e);
    enum outcome outcome = run(&f);
    if (!outcome)
        events_done(events, f.blob_path, f.how, f.size, f.received);
    close_fd(&f.lock);
    store_done(&f.store);
    return outcome;
}
