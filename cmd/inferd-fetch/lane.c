/*
 * lane.c - see lane.h.
 */
#include "lane.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "url.h"

enum {
    CONNECT_TIMEOUT_SECS = 30,
    BUFFER = 128 * 1024,
    THROWN_AWAY_MAX = 64 * 1024, /* of the text that comes with an error */
    SLOWEST = 1024,              /* bytes per second that are no stall */
};

enum outcome lane_init(struct lane *l, const struct transfer_order *order, struct error *error)
{
    *l = (struct lane){ .order = order, .easy = curl_easy_init() };
    return l->easy ? PRESENT : give_up(error, BROKEN, "out of memory");
}

void lane_done(struct lane *l)
{
    curl_easy_cleanup(l->easy);
    curl_slist_free_all(l->headers);
    free(l->url);
    *l = (struct lane){ .easy = NULL };
}

/* --- judging ---------------------------------------------------------------- */

static void fatal(struct lane *l, enum outcome outcome)
{
    l->finding = FINDING_FATAL;
    l->outcome = outcome;
}

static bool size_is_pinned_otherwise(struct lane *l)
{
    uint64_t pinned = l->order->options->size, size = l->answer.file.size;
    if (!pinned || !size || pinned == size)
        return false;
    fatal(l,
          give_up(&l->error, SIZE_MISMATCH, "the server announces %llu bytes; the model has %llu",
                  (unsigned long long)size, (unsigned long long)pinned));
    return true;
}

/* Begin the file that the answer describes. */
static void begin(struct lane *l)
{
    struct identity identity = l->answer.file;
    snprintf(identity.source, sizeof identity.source, "%s", l->order->events->source_url);
    uint64_t size = identity.size ? identity.size : l->order->options->size;
    enum err e = store_check_room(l->order->store, size, &l->error);
    if (!e)
        e = sink_begin(l->order->sink, &identity, &l->error);
    if (e)
        fatal(l, outcome_of(e));
}

static void judge_whole(struct lane *l)
{
    struct sink *sink = l->order->sink;
    if (!l->alone) {
        l->finding = FINDING_ONE_STREAM;
        return;
    }
    if (sink->begun && sink->written.n) {
        log_info("the server does not continue: starting at the beginning");
        events_restarted(l->order->events, "the server answers with the whole file");
    }
    begin(l);
    l->want = l->answer.body;
    l->ranged = false;
}

static void judge_range(struct lane *l)
{
    if (!l->ranged) {
        fatal(l, give_up(&l->error, TRANSPORT, "the server sends a part, asked for the whole"));
        return;
    }
    l->want = l->answer.body;
    if (!l->order->sink->begun)
        begin(l);
}

/* The head of the answer is complete. */
static void judge(struct lane *l)
{
    l->answered = true;
    enum outcome bad = answer_read(l->easy, &l->want, &l->answer, &l->error);
    if (bad) {
        fatal(l, bad);
        return;
    }
    if (l->answer.kind != ANSWER_WHOLE && l->answer.kind != ANSWER_RANGE)
        return;
    if (size_is_pinned_otherwise(l))
        return;
    const struct sink *sink = l->order->sink;
    if (sink->begun && !identity_same(&sink->identity, &l->answer.file)) {
        l->finding = FINDING_CHANGED;
        return;
    }
    if (l->answer.kind == ANSWER_WHOLE)
        judge_whole(l);
    else
        judge_range(l);
    l->takes_body = l->finding == FINDING_NONE;
    l->at = l->want.from;
}

void lane_conclude(struct lane *l)
{
    long status = 0;
    curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!l->answered && status)
        judge(l);
}

/* --- what curl calls -------------------------------------------------------- */

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct lane *l = ctx;
    size_t n = size * count;
    if (!l->answered)
        judge(l);
    if (l->finding)
        return CURL_WRITEFUNC_ERROR;
    if (!l->takes_body) {
        l->thrown_away += n;
        return l->thrown_away <= THROWN_AWAY_MAX ? n : CURL_WRITEFUNC_ERROR;
    }
    if (n > l->want.to - l->at) {
        fatal(l, give_up(&l->error, TRANSPORT, "the body is longer than the announced %llu bytes",
                         (unsigned long long)(l->want.to - l->want.from)));
        return CURL_WRITEFUNC_ERROR;
    }
    uint64_t pinned = l->order->options->size;
    if (pinned && l->at + n > pinned) {
        fatal(l, give_up(&l->error, SIZE_MISMATCH,
                         "the server sends more than the %llu bytes that the model has",
                         (unsigned long long)pinned));
        return CURL_WRITEFUNC_ERROR;
    }
    enum err e = sink_write(l->order->sink, l->at, bytes, n, &l->error);
    if (e) {
        fatal(l, outcome_of(e));
        return CURL_WRITEFUNC_ERROR;
    }
    l->at += n;
    l->received += n;
    return n;
}

/* Connected, and nothing sent yet. */
static int on_connected(void *ctx, char *ip, char *local UNUSED, int port UNUSED,
                        int local_port UNUSED)
{
    struct lane *l = ctx;
    char host[URL_HOST_MAX] = "";
    if (l->proxied && !url_host(l->url, host))
        return CURL_PREREQFUNC_ABORT;
    l->here = address_classify(l->proxied ? host : ip);
    if (l->hops == 0 || address_may_follow(l->came_from, l->here))
        return CURL_PREREQFUNC_OK;
    char shown[URL_SHOWN_MAX];
    url_show(l->url, shown);
    fatal(l, give_up(&l->error, INSECURE_URL, "redirect from %s to %s address refused (\"%s\")",
                     address_class_name(l->came_from), address_class_name(l->here), shown));
    return CURL_PREREQFUNC_ABORT;
}

/* --- asking ----------------------------------------------------------------- */

static bool add(struct lane *l, const char *line)
{
    struct curl_slist *longer = curl_slist_append(l->headers, line);
    if (longer)
        l->headers = longer;
    return longer != NULL;
}

/* Each host gets what was meant for it. */
static bool add_credentials(struct lane *l)
{
    const struct options *o = l->order->options;
    bool authorized = false;
    for (size_t i = 0; i < o->n_headers && url_same_server(l->url, o->url); i++) {
        authorized = authorized || strncasecmp(o->headers[i], "authorization:", 14) == 0;
        if (!add(l, o->headers[i]))
            return false;
    }
    if (!o->hf_token || authorized || !url_same_server(l->url, "https://huggingface.co/"))
        return true;
    CLEANUP(free_ptr) char *line = NULL;
    return asprintf(&line, "Authorization: Bearer %s", o->hf_token) >= 0 && add(l, line);
}

static enum outcome make_headers(struct lane *l, struct error *error)
{
    curl_slist_free_all(l->headers);
    l->headers = NULL;
    return add(l, "Accept-Encoding: identity") && add_credentials(l)
               ? PRESENT
               : give_up(error, BROKEN, "out of memory");
}

/* The first option that curl refuses. */
static CURLcode set_network(struct lane *l, const char *proxy)
{
    const struct options *o = l->order->options;
    CURL *c = l->easy;
    CURLcode e = curl_easy_setopt(c, CURLOPT_URL, l->url);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* With HTTP/2 all ranges would share one connection, and its pace. */
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_PROXY, proxy ? proxy : "");
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_NOPROXY, "");
    if (!e && o->ca_file)
        e = curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
    if (!e && o->ca_file)
        e = curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    if (!e && o->ca_file)
        e = curl_easy_setopt(c, CURLOPT_PROXY_CAINFO, o->ca_file);
    return e;
}

static CURLcode set_patience(struct lane *l, uint64_t rate)
{
    CURL *c = l->easy;
    uint64_t slowest = rate && rate / 2 < SLOWEST ? rate / 2 : SLOWEST;
    CURLcode e = curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_SECS);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, slowest ? (long)slowest : 1L);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)l->order->options->stall_secs);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rate);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    return e;
}

static CURLcode set_callbacks(struct lane *l)
{
    CURL *c = l->easy;
    CURLcode e = curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_WRITEDATA, l);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_connected);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_PREREQDATA, l);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_PRIVATE, l);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_ERRORBUFFER, l->reason);
    return e;
}

static CURLcode set_request(struct lane *l)
{
    CURL *c = l->easy;
    char range[64];
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)l->want.from,
             (unsigned long long)l->want.to - 1);
    CURLcode e = curl_easy_setopt(c, CURLOPT_HTTPHEADER, l->headers);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_USERAGENT, "inferd-fetch/" INFERD_VERSION);
    if (!e && l->ranged)
        e = curl_easy_setopt(c, CURLOPT_RANGE, range);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)BUFFER);
    if (!e)
        e = curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    return e;
}

static void about_proxies(const char *proxy)
{
    static bool said;
    if (proxy && !said)
        log_info("going through a proxy: where names lead is not checked, only addresses");
    said = said || proxy;
}

enum outcome lane_prepare(struct lane *l, uint64_t rate, struct error *error)
{
    l->answered = l->takes_body = false;
    l->thrown_away = 0;
    l->finding = FINDING_NONE;
    l->here = ADDRESS_NONE;
    l->at = l->want.from;
    l->reason[0] = '\0';
    const char *proxy = url_proxy(l->url);
    l->proxied = proxy != NULL;
    about_proxies(proxy);

    curl_easy_reset(l->easy);
    enum outcome bad = make_headers(l, error);
    if (bad)
        return bad;
    CURLcode e = set_network(l, proxy);
    if (!e)
        e = set_patience(l, rate);
    if (!e)
        e = set_callbacks(l);
    if (!e)
        e = set_request(l);
    return e ? give_up(error, BROKEN, "libcurl: %s", curl_easy_strerror(e)) : PRESENT;
}
