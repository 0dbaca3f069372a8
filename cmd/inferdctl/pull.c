/*
 * pull - download a model into the store.
 *
 *     inferdctl pull NAME
 *     inferdctl pull --name NAME --url URL --sha256 HEX [--size BYTES]
 *
 * NAME is one of the catalog (catalog.c).  inferd-fetch does the work (fetcher.h); without
 * it, a model that is in the store already is still found.  The blob's path goes to
 * standard output.
 */
#include <stdio.h>
#include <string.h>

#include "catalog.h"
#include "command.h"
#include "fetcher.h"
#include "interrupt.h"
#include "store/manifest.h"
#include "words.h"

enum {
    FLAG_NAME = STORAGE_FLAGS,
    FLAG_URL,
    FLAG_SHA256,
    FLAG_SIZE,
    /* From here on they are inferd-fetch's. */
    FLAG_WAIT,
    FLAG_OFFLINE,
    FLAG_CONNECTIONS,
    FLAG_LIMIT_RATE,
    FLAG_HEADER_ENV,
    FLAG_ADOPT_DIR,
};

static const struct flag flags[] = {
    STORAGE_FLAG_ROWS,
    [FLAG_NAME] = { "--name", 0, "NAME", "what a model of your own is to be called" },
    [FLAG_URL] = { "--url", 0, "URL", "where it is; https only" },
    [FLAG_SHA256] = { "--sha256", 0, "HEX", "the digest of its bytes, 64 lower-case digits" },
    [FLAG_SIZE] = { "--size", 0, "BYTES", "refuse a file of another size" },
    [FLAG_WAIT] = { "--wait", 0, NULL, "wait for another process that downloads it" },
    [FLAG_OFFLINE] = { "--offline", 0, NULL, "do with what this machine has" },
    [FLAG_CONNECTIONS] = { "--connections", 0, "N", "at a time, 1 to 8; 4 if not given" },
    [FLAG_LIMIT_RATE] = { "--limit-rate", 0, "BYTES", "per second, all connections together" },
    [FLAG_HEADER_ENV] = { "--header-env", 0, "NAME", "send the header line in this variable" },
    [FLAG_ADOPT_DIR] = { "--adopt-dir", 0, "DIR", "look there for the file, too" },
};

struct pull {
    struct storage storage;
    struct fetch_order order;
    char size[24]; /* of a catalog's model */
};

static bool pass_on(struct fetch_order *o, const struct args *args)
{
    if (o->n_more + 2 > ARRAY_LEN(o->more)) {
        complain("%s was given too often", args_flag_name(args));
        return false;
    }
    o->more[o->n_more++] = args_flag_name(args);
    if (args->value)
        o->more[o->n_more++] = args->value;
    return true;
}

/* False after a complaint. */
static bool set(struct fetch_order *o, const struct args *args)
{
    switch (args->flag) {
    case FLAG_NAME:
        o->name = args->value;
        return true;
    case FLAG_URL:
        o->url = args->value;
        return true;
    case FLAG_SHA256:
        o->sha256 = args->value;
        return true;
    case FLAG_SIZE:
        o->size = args->value;
        return true;
    default:
        return pass_on(o, args);
    }
}

/* --- what is to be pulled ---------------------------------------------------- */

static bool order_from_catalog(struct pull *p)
{
    struct fetch_order *o = &p->order;
    if (o->name || o->url || o->sha256 || o->size) {
        complain("'%.80s' is a name of the catalog; for a model of your own give --name instead",
                 p->storage.word);
        return false;
    }
    const struct catalog_entry *entry = catalog_find(p->storage.word);
    if (!entry)
        return false;
    snprintf(p->size, sizeof p->size, "%llu", (unsigned long long)entry->size);
    o->name = entry->name;
    o->url = entry->url;
    o->sha256 = entry->sha256;
    o->license = entry->license;
    o->size = p->size;
    return true;
}

static bool check_order(const struct fetch_order *o, struct digest *ret_digest)
{
    struct error error;
    if (!o->name || !o->sha256)
        complain("a model that is not in the catalog needs --name, --url and --sha256");
    else if (model_name_check(o->name, strlen(o->name), &error) ||
             digest_read(o->sha256, strlen(o->sha256), ret_digest, &error))
        complain("%s", error.message);
    else
        return true;
    return false;
}

static bool nothing_given(const struct pull *p)
{
    const struct fetch_order *o = &p->order;
    if (p->storage.word || o->name || o->url || o->sha256)
        return false;
    complain("which model? give a name of the catalog, or --name, --url and --sha256");
    catalog_tell();
    return true;
}

/* --- pulling it --------------------------------------------------------------- */

/* Does the store have it under this name?  `ret_path` is for people. */
static bool is_there(const struct store *s, const char *name, const struct digest *digest,
                     char *ret_path, uint64_t *ret_size)
{
    CLEANUP(manifest_done) struct manifest m = { .tree = NULL };
    CLEANUP(close_fd) int fd = -1;
    if (manifest_read(s, name, &m, NULL) || !digest_equal(&m.blob, digest) ||
        store_blob_open(s, digest, &fd, ret_size, NULL))
        return false;
    store_blob_path(s, digest, ret_path);
    return true;
}

/* Without inferd-fetch. */
static int find_only(struct pull *p, const struct digest *digest, char *ret_path)
{
    uint64_t size;
    if (!is_there(&p->storage.store, p->order.name, digest, ret_path, &size))
        return fetcher_airgapped(p->order.name);
    if (p->storage.json)
        output_json(&p->storage.out,
                    json_pack("{ss ss ss so sI si}", "id", "admin", "type", "done", "how",
                              "manifest", "path", json_text(ret_path), "size_bytes",
                              (json_int_t)size, "transferred_bytes", 0));
    return DONE;
}

static int pull(struct pull *p, const struct digest *digest)
{
    struct storage *s = &p->storage;
    char program[STORE_PATH_MAX], path[STORE_PATH_MAX];
    if (!s->json)
        complain("pulling %s -> %s", p->order.name, s->store.root);
    int code = fetcher_find(program) ? fetcher_run(s, program, &p->order, path)
                                     : find_only(p, digest, path);
    if (code == DONE && !s->json) {
        complain("blob ready at %s", path);
        output_line(&s->out, path, strlen(path));
    }
    return output_verdict(&s->out, code);
}

static int check_and_pull(struct pull *p, struct args *args)
{
    struct digest digest;
    if (nothing_given(p) || (p->storage.word && !order_from_catalog(p)) ||
        !check_order(&p->order, &digest))
        return TROUBLE;
    if (!storage_open(&p->storage, args))
        return args->exit_code;
    interrupt_install();
    int code = pull(p, &digest);
    storage_done(&p->storage);
    return code;
}

static int run(struct args *args)
{
    struct pull p = { .order.n_more = 0 };
    for (;;) {
        switch (storage_next(&p.storage, args)) {
        case ARG_FLAG:
            if (!set(&p.order, args))
                return TROUBLE;
            break;
        case ARG_STOP:
            return args->exit_code;
        case ARG_WORD: /* taken care of */
        case ARG_END:
            return check_and_pull(&p, args);
        }
    }
}

const struct command command_pull = {
    .name = "pull",
    .words = "[NAME]",
    .summary = "download a model into the store",
    .help = "Downloads a model of the catalog (gemma-4-e4b, gemma-4-e4b-mmproj, gemma-4-12b,\n"
            "embeddinggemma-300m), or any other by --name, --url and --sha256.  What another\n"
            "tool has on this machine already is taken from there.  A download that was\n"
            "interrupted goes on where it ended.  Prints the path of the blob.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
