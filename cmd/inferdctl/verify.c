/*
 * verify - hash what is in the store.
 *
 *     inferdctl verify [NAME | --all] [--repair]
 *
 * With --repair, a blob with wrong bytes goes to quarantine, and it or one that is missing is
 * fetched anew.  A manifest does not know the URL; the catalog does, or the user, or the
 * model is in another tool's cache.
 */
#include <stdio.h>
#include <string.h>

#include "bar.h"
#include "catalog.h"
#include "command.h"
#include "fetcher.h"
#include "interrupt.h"
#include "store/models.h"
#include "words.h"

enum { FLAG_ALL = STORAGE_FLAGS, FLAG_REPAIR, FLAG_URL };

static const struct flag flags[] = {
    STORAGE_FLAG_ROWS,
    [FLAG_ALL] = { "--all", 0, NULL, "every model; the same as no NAME" },
    [FLAG_REPAIR] = { "--repair", 0, NULL, "fetch anew what is wrong or missing" },
    [FLAG_URL] = { "--url", 0, "URL", "with --repair and NAME: where it is" },
};

struct verify {
    struct storage storage;
    bool all;
    bool repair;
    const char *url;              /* NULL: not given */
    char program[STORE_PATH_MAX]; /* inferd-fetch; "" if there is none */
};

/* What is known of one model; more as it goes on. */
struct check {
    const char *name;
    int lock; /* while repairing; -1: not held */
    struct manifest manifest;
    struct verified found;
    bool repaired;
};

static void check_done(struct check *c)
{
    manifest_done(&c->manifest);
    close_fd(&c->lock);
}

/* --- what is said ------------------------------------------------------------ */

static const char *verdict_name(const struct check *c)
{
    static const char *const names[] = {
        [VERDICT_RIGHT] = "right", [VERDICT_MISSING] = "missing", [VERDICT_WRONG] = "wrong"
    };
    return c->repaired ? "repaired" : names[c->found.verdict];
}

static void print_json(struct output *out, const struct storage *s, const struct check *c)
{
    char path[STORE_PATH_MAX];
    store_blob_path(&s->store, &c->manifest.blob, path);
    output_json(out, json_pack("{ss ss ss so ss ss?}", "type", "verified", "name", c->name,
                               "verdict", verdict_name(c), "path", json_text(path),
                               "expected_sha256", c->manifest.blob.hex, "actual_sha256",
                               c->found.verdict == VERDICT_MISSING ? NULL : c->found.found.hex));
}

static void print(struct storage *s, const struct check *c)
{
    if (s->json)
        print_json(&s->out, s, c);
    else if (c->found.verdict == VERDICT_WRONG && !c->repaired)
        output_printf(&s->out, "%s: wrong: expected %s, found %s\n", c->name, c->manifest.blob.hex,
                      c->found.found.hex);
    else
        output_printf(&s->out, "%s: %s\n", c->name, verdict_name(c));
}

/* It could not even be looked at. */
static int failed(struct storage *s, const char *name, const struct error *error)
{
    if (s->json)
        output_json(&s->out, json_pack("{ss ss ss so}", "type", "verified", "name", name, "verdict",
                                       "failed", "error", json_text(error->message)));
    return complain_with(TROUBLE, "%s: %s", name, error->message);
}

/* --- repairing ----------------------------------------------------------------- */

/* Wrong bytes leave their place before others are fetched. */
static enum err quarantine_wrong(struct storage *s, const struct check *c)
{
    char to[STORE_PATH_MAX];
    struct error error;
    if (c->found.verdict != VERDICT_WRONG)
        return OK;
    enum err e = store_blob_quarantine(&s->store, &c->manifest.blob, "sha-mismatch", to, &error);
    if (e)
        failed(s, c->name, &error);
    else
        complain("%s: the wrong bytes are in quarantine now: '%s'", c->name, to);
    return e;
}

/* What the program would end with. */
static int repair(struct verify *v, struct check *c)
{
    struct storage *s = &v->storage;
    if (!v->program[0])
        return fetcher_airgapped(c->name);
    if (quarantine_wrong(s, c))
        return TROUBLE;
    close_fd(&c->lock); /* inferd-fetch takes it */

    const struct catalog_entry *known = catalog_with(&c->manifest.blob);
    char size[24], path[STORE_PATH_MAX];
    snprintf(size, sizeof size, "%llu", (unsigned long long)c->manifest.size_bytes);
    const struct fetch_order order = { .name = c->name,
                                       .sha256 = c->manifest.blob.hex,
                                       .url = v->url  ? v->url
                                              : known ? known->url
                                                      : NULL,
                                       .size = c->manifest.size_bytes ? size : NULL,
                                       .license = c->manifest.license };
    int code = fetcher_run(s, v->program, &order, path);
    c->repaired = code == DONE;
    if (code == TROUBLE && !order.url)
        complain("the store does not know where %s came from: give --url, or import it again",
                 c->name);
    return code;
}

/* --- checking ------------------------------------------------------------------ */

/* Under its lock, if it may have to be changed. */
static enum err look(struct verify *v, struct check *c, struct error *error)
{
    struct storage *s = &v->storage;
    enum err e = OK;
    if (v->repair) {
        e = store_begin_write(&s->store, error);
        if (!e)
            e = store_lock_name(&s->store, c->name, "written", false, &c->lock, error);
    }
    if (!e)
        e = manifest_read(&s->store, c->name, &c->manifest, error);
    if (e)
        return e;
    struct bar bar;
    bar_init(&bar, c->name, !s->json);
    e = model_verify(&s->store, &c->manifest, &(struct progress){ bar_tell, &bar }, &c->found,
                     error);
    bar_hide(&bar);
    return e;
}

/* What the program would end with. */
static int check(struct verify *v, const char *name)
{
    CLEANUP(check_done) struct check c = { .name = name, .lock = -1 };
    struct storage *s = &v->storage;
    struct error error;
    if (look(v, &c, &error))
        return interrupt_code() ? interrupt_code() : failed(s, name, &error);
    int code = c.found.verdict == VERDICT_RIGHT ? DONE : REFUSED;
    if (code && v->repair) {
        print(s, &c);
        code = repair(v, &c);
    }
    if (c.repaired || !v->repair || c.found.verdict == VERDICT_RIGHT)
        print(s, &c);
    return code;
}

static int check_all(struct verify *v)
{
    struct storage *s = &v->storage;
    struct models models;
    struct error error;
    if (models_list(&s->store, &models, &error))
        return complain_with(TROUBLE, "%s", error.message);
    if (models.n == 0 && !s->json)
        complain("there are no models in %s", s->store.root);
    int worst = DONE;
    for (size_t i = 0; i < models.n && !interrupt_code() && !s->out.broken; i++) {
        int code = check(v, models.at[i].name);
        worst = code > worst ? code : worst;
    }
    models_done(&models);
    return worst;
}

static int verify(struct verify *v, struct args *args)
{
    struct storage *s = &v->storage;
    if (s->word && v->all)
        return complain_with(TROUBLE, "--all and '%.80s': which of the two?", s->word);
    if (v->url && !(s->word && v->repair))
        return complain_with(TROUBLE, "--url goes with --repair and the name of one model");
    if (s->word && !storage_has_name(s))
        return TROUBLE;
    if (!storage_open(s, args))
        return args->exit_code;
    if (!fetcher_find(v->program))
        v->program[0] = '\0';
    interrupt_install();
    interrupt_is_asked_for(true);
    int code = s->word ? check(v, s->word) : check_all(v);
    storage_done(s);
    return output_verdict(&s->out, code);
}

static int run(struct args *args)
{
    struct verify v = { .all = false };
    for (;;) {
        switch (storage_next(&v.storage, args)) {
        case ARG_FLAG:
            if (args->flag == FLAG_ALL)
                v.all = true;
            else if (args->flag == FLAG_REPAIR)
                v.repair = true;
            else
                v.url = args->value;
            break;
        case ARG_STOP:
            return args->exit_code;
        case ARG_WORD: /* taken care of */
        case ARG_END:
            return verify(&v, args);
        }
    }
}

const struct command command_verify = {
    .name = "verify",
    .words = "[NAME]",
    .summary = "hash what is in the store, and repair it",
    .help = "Hashes one model or all, and tells which are right, wrong or missing.  With\n"
            "--repair, fetches anew what is not right, and nothing else; wrong bytes are kept\n"
            "in quarantine.  Ends with 0 if all is right, 1 if something is not.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
