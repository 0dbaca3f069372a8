/*
 * transfer.c - see transfer.h.
 *
 *     0        prefix                    prefix + WINDOW            size
 *     |##########|....|#####|.....|###|.....|                        |
 *      hashed     lane       lane      lane   not begun yet
 *
 * Each lane asks for the lowest SEGMENT that nobody has or brings, within a window, so that
 * the hash, which needs the bytes in order, stays near.  The first answer of a run is
 * awaited alone: it says where the redirects lead, how large the file is, and whether the
 * server continues at all.
 *
 * Failures are counted for the transfer and not per lane, because they have one cause: after
 * one, nothing is dialled for a while that doubles.  What fails within that while belongs to
 * the same failure.  Progress forgives, if it is more than there ever was: a stream that starts
 * at its beginning each time makes none.
 */
#include "transfer.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "lane.h"
#include "url.h"

enum {
    SEGMENT = 8 * 1024 * 1024,
    WINDOW = 64 * 1024 * 1024,
    PROGRESS = 64 * 1024, /* bytes that forgive a failure */
    CHANGES_MAX = 3,
    BACKOFF_MS = 500,
    BACKOFF_MAX_MS = 60 * 1000,
    RETRY_AFTER_MAX_SECS = 15 * 60,
    TURN_MS = 500,
};

struct transfer {
    const struct transfer_order *order;
    CURLM *multi;
    struct lane lanes[CONNECTIONS_MAX];
    unsigned n_lanes;
    bool one_stream; /* the server ignores ranges */
    bool ranges;     /* it has shown that it does not */
    uint64_t resumed;

    /* Where the redirects led, to be asked directly; NULL: not known.  Owned. */
    char *direct;
    unsigned direct_hops;
    enum address_class direct_from;

    unsigned failures;  /* in a row */
    uint64_t best;      /* most that was there when something failed */
    int64_t not_before; /* clock_ms() of the next dial */
    unsigned changes;   /* how often it became another file */

    bool complete;
    enum outcome outcome; /* other than PRESENT: the end */
    struct error *error;
};

enum outcome transfer_global_init(struct error *error)
{
    CURLcode e = curl_global_init(CURL_GLOBAL_DEFAULT);
    return e ? give_up(error, BROKEN, "libcurl: %s", curl_easy_strerror(e)) : PRESENT;
}

void transfer_global_done(void)
{
    curl_global_cleanup();
}

/* --- counting --------------------------------------------------------------- */

static uint64_t received(const struct transfer *t)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < t->n_lanes; i++)
        n += t->lanes[i].received;
    return n;
}

static unsigned busy_lanes(const struct transfer *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_lanes; i++)
        n += t->lanes[i].busy;
    return n;
}

static struct amount amount(const struct transfer *t)
{
    const struct sink *sink = t->order->sink;
    uint64_t size = sink->identity.size;
    return (struct amount){ .done = spans_total(&sink->written),
                            .total = sink->begun && size ? size : t->order->options->size,
                            .resumed = t->resumed };
}

/* --- failing ---------------------------------------------------------------- */

static void end_with(struct transfer *t, enum outcome outcome, const char *sentence)
{
    if (t->outcome)
        return; /* the first reason counts */
    t->outcome = give_up(t->error, outcome, "%s", sentence);
}

/* The nth pause is half to all of BACKOFF_MS * 2^(n-1): many clients of a server that failed
 * must not come back at once. */
static int64_t backoff_ms(unsigned failures)
{
    int64_t ms = BACKOFF_MS;
    for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = UINT32_MAX;
    return ms / 2 + (int64_t)((uint64_t)ms / 2 * random / UINT32_MAX);
}

/* Dial again after a while, of at least `least_ms`; or give up for `outcome`. */
static void try_again(struct transfer *t, enum outcome outcome, const char *why, int64_t least_ms)
{
    int64_t now = clock_ms();
    uint64_t have = spans_total(&t->order->sink->written);
    if (have >= t->best + PROGRESS)
        t->failures = 0;
    if (have > t->best)
        t->best = have;
    if (now < t->not_before) {
        if (now + least_ms > t->not_before)
            t->not_before = now + least_ms;
        return;
    }
    unsigned attempts = t->order->options->retries + 1;
    if (++t->failures >= attempts) {
        char sentence[ERROR_MESSAGE_MAX];
        struct amount a = amount(t);
        snprintf(sentence, sizeof sentence,
                 "%.300s (attempt %u of %u; %llu bytes are kept for the next run)", why,
                 t->failures, attempts, (unsigned long long)a.done);
        end_with(t, outcome, sentence);
        return;
    }
    int64_t ms = backoff_ms(t->failures);
    if (ms < least_ms)
        ms = least_ms;
    t->not_before = now + ms;
    struct amount a = amount(t);
    log_info("%s; again in %.1f s (attempt %u of %u)", why, (double)ms / 1000, t->failures + 1,
             attempts);
    events_waiting(t->order->events, &a, why, ms, t->failures + 1, attempts);
}

/* --- lanes ------------------------------------------------------------------ */

static void release(struct transfer *t, struct lane *l)
{
    if (!l->busy)
        return;
    curl_multi_remove_handle(t->multi, l->easy);
    l->busy = false;
}

static void release_all(struct transfer *t)
{
    for (unsigned i = 0; i < t->n_lanes; i++)
        release(t, &t->lanes[i]);
}

/* The lowest piece that nobody has or brings. */
static bool next_piece(const struct transfer *t, struct span *ret)
{
    const struct sink *sink = t->order->sink;
    uint64_t size = sink->begun ? sink->identity.size : 0;
    if (!t->ranges && size == 0) {
        *ret = (struct span){ 0, SEGMENT };
        return true;
    }
    struct spans taken = sink->written;
    for (unsigned i = 0; i < t->n_lanes; i++)
        if (t->lanes[i].busy && !spans_add(&taken, t->lanes[i].want))
            return false;
    if (!spans_hole(&taken, size, ret))
        return false;
    if (ret->to - ret->from > SEGMENT)
        ret->to = ret->from + SEGMENT;
    return ret->from < spans_prefix(&sink->written) + WINDOW;
}

static uint64_t rate_of_lane(const struct transfer *t)
{
    uint64_t limit = t->order->options->limit_rate;
    unsigned n = t->one_stream ? 1 : t->n_lanes;
    return limit && limit < n ? 1 : limit / n;
}

/* Ask l->url for l->want. */
static void dial(struct transfer *t, struct lane *l)
{
    l->ranged = !t->one_stream;
    enum outcome bad = lane_prepare(l, rate_of_lane(t), t->error);
    if (bad) {
        t->outcome = bad;
        return;
    }
    CURLMcode e = curl_multi_add_handle(t->multi, l->easy);
    if (e)
        end_with(t, BROKEN, curl_multi_strerror(e));
    else
        l->busy = true;
}

static void dial_first_hop(struct transfer *t, struct lane *l)
{
    free(l->url);
    l->url = strdup(t->direct ? t->direct : t->order->options->url);
    l->hops = t->direct ? t->direct_hops : 0;
    l->came_from = t->direct_from;
    if (l->url)
        dial(t, l);
    else
        end_with(t, BROKEN, "out of memory");
}

/* Give every idle lane something to do, if it may. */
static void dial_all(struct transfer *t)
{
    if (clock_ms() < t->not_before)
        return;
    for (unsigned i = 0; i < t->n_lanes && !t->outcome; i++) {
        struct lane *l = &t->lanes[i];
        bool known = t->ranges && !t->one_stream;
        if (l->busy || (!known && busy_lanes(t) > 0))
            continue;
        if (t->one_stream)
            l->want = (struct span){ 0, UINT64_MAX };
        else if (!next_piece(t, &l->want))
            return;
        dial_first_hop(t, l);
    }
}

/* --- what became of a request ------------------------------------------------- */

static void forget_direct(struct transfer *t)
{
    free(TAKE(t->direct));
}

/* This one led to the file: the next ones need not go through the redirects. */
static void remember_direct(struct transfer *t, const struct lane *l)
{
    if (l->hops == 0 || (t->direct && strcmp(t->direct, l->url) == 0))
        return;
    forget_direct(t);
    t->direct = strdup(l->url); /* without it, redirects are followed again */
    t->direct_hops = l->hops;
    t->direct_from = l->came_from;
}

static void follow(struct transfer *t, struct lane *l)
{
    char shown[URL_SHOWN_MAX];
    url_show(t->order->options->url, shown);
    char *location = NULL;
    CLEANUP(free_ptr) char *next = NULL;
    struct curl_header *header;
    if (curl_easy_header(l->easy, "Location", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        location = header->value;
    enum outcome bad = PRESENT;
    if (!location)
        bad = give_up(t->error, TRANSPORT, "http transport: %s: redirect without a target", shown);
    else if (l->hops == REDIRECTS_MAX)
        bad = give_up(t->error, TRANSPORT, "http transport: %s: more than %d redirects", shown,
                      REDIRECTS_MAX);
    if (!bad)
        bad = url_resolve(l->url, location, &next, t->error);
    if (!bad)
        bad = url_check("redirect", next, t->error);
    if (bad) {
        t->outcome = bad;
        return;
    }
    /* Once outside, always outside. */
    bool outside = l->hops > 0 && (l->came_from == ADDRESS_PUBLIC || l->came_from == ADDRESS_NONE);
    if (!outside)
        l->came_from = l->here;
    l->hops++;
    free(l->url);
    l->url = TAKE(next);
    dial(t, l);
}

/* The server has another file now: what we have of the old one is of no use. */
static void begin_again(struct transfer *t)
{
    struct sink *sink = t->order->sink;
    release_all(t);
    forget_direct(t);
    t->ranges = t->one_stream = false;
    t->resumed = 0;
    sink->begun = false;
    sink->written.n = 0;
    log_warn("the file has changed on the server: starting at the beginning");
    events_restarted(t->order->events, "the file has changed on the server");
    if (++t->changes > CHANGES_MAX) {
        char shown[URL_SHOWN_MAX], why[ERROR_MESSAGE_MAX];
        url_show(t->order->options->url, shown);
        snprintf(why, sizeof why, "http transport: %.300s: the file keeps changing", shown);
        end_with(t, TRANSPORT, why);
    }
}

static void refused(struct transfer *t, const struct lane *l)
{
    char shown[URL_SHOWN_MAX], why[ERROR_MESSAGE_MAX];
    url_show(l->url, shown);
    snprintf(why, sizeof why, "http status %ld (%.300s)", l->answer.status, shown);
    curl_off_t after = 0;
    curl_easy_getinfo(l->easy, CURLINFO_RETRY_AFTER, &after);
    if (l->answer.status == 416 && t->order->sink->begun) {
        begin_again(t); /* it ends before the range that was asked for */
    } else if (t->direct && !status_may_pass(l->answer.status)) {
        forget_direct(t); /* the target's signature may have expired */
        try_again(t, HTTP_STATUS, why, 0);
    } else if (status_may_pass(l->answer.status) && after <= RETRY_AFTER_MAX_SECS) {
        try_again(t, HTTP_STATUS, why, (int64_t)after * 1000);
    } else {
        end_with(t, HTTP_STATUS, why);
    }
}

/* Failures that no second attempt heals. */
static bool hopeless(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_ISSUER_ERROR || code == CURLE_URL_MALFORMAT ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_NOT_BUILT_IN ||
           code == CURLE_COULDNT_RESOLVE_PROXY;
}

static void broke_off(struct transfer *t, const struct lane *l, CURLcode code)
{
    char shown[URL_SHOWN_MAX], why[ERROR_MESSAGE_MAX];
    const char *reason = l->reason[0] ? l->reason : curl_easy_strerror(code);
    if (code == CURLE_OK)
        reason = "the body is shorter than announced";
    url_show(l->url, shown);
    snprintf(why, sizeof why, "http transport: %.200s: %.200s", shown, reason);
    if (!l->answered)
        forget_direct(t); /* nobody answers there */
    if (code == CURLE_OUT_OF_MEMORY)
        end_with(t, BROKEN, "out of memory");
    else if (hopeless(code))
        end_with(t, TRANSPORT, why);
    else
        try_again(t, TRANSPORT, why, 0);
}

static void fatal_finding(struct transfer *t, const struct lane *l)
{
    char shown[URL_SHOWN_MAX], why[ERROR_MESSAGE_MAX];
    url_show(l->url, shown);
    if (l->outcome == TRANSPORT) {
        snprintf(why, sizeof why, "http transport: %.200s: %.250s", shown, l->error.message);
        end_with(t, TRANSPORT, why);
    } else {
        end_with(t, l->outcome, l->error.message);
    }
}

/* The whole body came as one stream: now the size is known in any case. */
static void stream_ended(struct transfer *t, const struct lane *l)
{
    char shown[URL_SHOWN_MAX], why[ERROR_MESSAGE_MAX];
    url_show(l->url, shown);
    snprintf(why, sizeof why, "http transport: %.300s: the file is empty", shown);
    if (l->at == 0)
        end_with(t, TRANSPORT, why);
    t->order->sink->identity.size = l->at;
}

/* Without a length, only the pinned size tells a whole body from one that broke off. */
static bool has_all(const struct transfer *t, const struct lane *l)
{
    uint64_t pinned = t->order->options->size;
    return l->want.to == UINT64_MAX ? !pinned || l->at == pinned : l->at == l->want.to;
}

static void fetched(struct transfer *t, struct lane *l, CURLcode code)
{
    bool whole = l->answer.kind == ANSWER_WHOLE;
    if (whole)
        t->one_stream = true;
    else
        t->ranges = true;
    remember_direct(t, l);
    if (code || !has_all(t, l))
        broke_off(t, l, code);
    else if (whole)
        stream_ended(t, l);
}

/* A request is done; whatever became of it, the lane is idle again or asks anew. */
static void conclude(struct transfer *t, struct lane *l, CURLcode code)
{
    lane_conclude(l);
    release(t, l);
    switch (l->finding) {
    case FINDING_FATAL:
        fatal_finding(t, l);
        return;
    case FINDING_CHANGED:
        begin_again(t);
        return;
    case FINDING_ONE_STREAM:
        release_all(t);
        t->one_stream = true;
        return;
    case FINDING_NONE:
        break;
    }
    if (!l->answered)
        broke_off(t, l, code ? code : CURLE_GOT_NOTHING);
    else if (l->answer.kind == ANSWER_REDIRECT)
        follow(t, l);
    else if (l->answer.kind == ANSWER_REFUSAL)
        refused(t, l);
    else
        fetched(t, l, code);
}

static void conclude_all(struct transfer *t)
{
    int left;
    for (CURLMsg *m; !t->outcome && (m = curl_multi_info_read(t->multi, &left)) != NULL;) {
        char *lane = NULL;
        CURLcode code = m->data.result;
        if (m->msg == CURLMSG_DONE &&
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &lane) == CURLE_OK)
            conclude(t, (struct lane *)lane, code);
    }
}

/* --- the loop --------------------------------------------------------------- */

/* The whole file comes on this one: the limit is its own. */
static void one_stream(struct transfer *t, const struct lane *l)
{
    t->one_stream = true;
    (void)curl_easy_setopt(l->easy, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rate_of_lane(t));
}

/* A probe whose answer is good lets the others begin before its body ends. */
static void look_at_probe(struct transfer *t)
{
    for (unsigned i = 0; i < t->n_lanes; i++) {
        const struct lane *l = &t->lanes[i];
        if (!l->busy || !l->takes_body)
            continue;
        if (l->answer.kind == ANSWER_RANGE) {
            t->ranges = true;
            remember_direct(t, l);
        } else if (!t->one_stream) {
            one_stream(t, l);
        }
    }
}

static bool is_complete(const struct transfer *t)
{
    const struct sink *sink = t->order->sink;
    uint64_t size = sink->identity.size;
    return sink->begun && size && spans_prefix(&sink->written) == size && busy_lanes(t) == 0;
}

static void settle(struct transfer *t)
{
    struct sink *sink = t->order->sink;
    struct error error;
    enum err e = sink_settle(sink, &error);
    if (e)
        end_with(t, outcome_of(e), error.message);
    struct amount a = amount(t);
    if (sink->begun)
        events_progress(t->order->events, &a);
    if (events_lost(t->order->events))
        end_with(t, IO, "standard output was closed");
}

static int patience_ms(const struct transfer *t)
{
    int64_t ms = t->not_before - clock_ms();
    return ms > 0 && ms < TURN_MS ? (int)ms : TURN_MS;
}

static void turn(struct transfer *t)
{
    int running;
    dial_all(t);
    for (unsigned i = 0; i < t->n_lanes; i++)
        t->lanes[i].alone = busy_lanes(t) == 1;
    CURLMcode e = curl_multi_perform(t->multi, &running);
    look_at_probe(t);
    conclude_all(t);
    settle(t);
    if (!e && !t->outcome && !is_complete(t))
        e = curl_multi_poll(t->multi, NULL, 0, patience_ms(t), NULL);
    if (e)
        end_with(t, BROKEN, curl_multi_strerror(e));
}

/* What an earlier run left can't be right if its size is not. */
static void mistrust(struct transfer *t)
{
    struct sink *sink = t->order->sink;
    uint64_t pinned = t->order->options->size;
    if (sink->begun && pinned && sink->identity.size && sink->identity.size != pinned) {
        sink->begun = false;
        sink->written.n = 0;
    }
    t->best = t->resumed = spans_total(&sink->written);
}

static enum outcome check_room(const struct transfer *t)
{
    const struct sink *sink = t->order->sink;
    if (!sink->begun || sink->identity.size < t->resumed)
        return PRESENT; /* checked when the size is known */
    return outcome_of(
        store_check_room(t->order->store, sink->identity.size - t->resumed, t->error));
}

static enum outcome set_up(struct transfer *t)
{
    t->multi = curl_multi_init();
    if (!t->multi)
        return give_up(t->error, BROKEN, "out of memory");
    for (unsigned i = 0; i < t->order->options->connections; i++) {
        enum outcome bad = lane_init(&t->lanes[i], t->order, t->error);
        if (bad)
            return bad;
        t->n_lanes++;
    }
    return PRESENT;
}

static void tear_down(struct transfer *t)
{
    release_all(t);
    for (unsigned i = 0; i < t->n_lanes; i++)
        lane_done(&t->lanes[i]);
    curl_multi_cleanup(t->multi);
    free(t->direct);
}

enum outcome transfer_run(const struct transfer_order *order, struct transfer_result *ret,
                          struct error *error)
{
    struct transfer t = { .order = order, .error = error };
    t.outcome = set_up(&t);
    mistrust(&t);
    if (!t.outcome && !is_complete(&t))
        t.outcome = check_room(&t);
    struct amount at_start = amount(&t);
    if (!t.outcome)
        events_progress(order->events, &at_start);
    while (!t.outcome && !is_complete(&t))
        turn(&t);
    if (t.outcome) {
        sink_keep(order->sink);
    } else {
        struct amount a = amount(&t);
        events_progress_now(order->events, &a);
        *ret = (struct transfer_result){ order->sink->identity.size, received(&t) };
    }
    tear_down(&t);
    return t.outcome;
}
