/*
 * unserved.c - settings that this release does not follow, and those that it follows only
 * together with others.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/tcp.h"

/* Whoever reaches a TCP port can't be told apart by anything but a key. */
static void check_tcp(const struct config *c, struct findings *findings)
{
    struct sockaddr_storage unused;
    socklen_t len;
    struct error error;
    if (tcp_address_read(c->tcp, &unused, &len, &error))
        findings_add(findings, true, error.message);
    if (!c->api_key && !c->tcp_without_key)
        findings_add(findings, true,
                     "listen.tcp (--tcp) needs a key (INFERD_API_KEY, listen.api_key_env or "
                     "--api-key-file); --tcp-without-key lets every user of this machine ask "
                     "without one");
    else if (!c->api_key)
        findings_add(findings, false,
                     "TCP without a key: every user and program of this machine may ask");
}

/* Why an option about a backend of some kind changes nothing; NULL: it does. */
static const char *why_unused_by(const struct config *c, const struct flags *flags,
                                 const struct given_flag *given)
{
    bool asked_for = flags->backend && strcmp(flags->backend, given->kind) == 0;
    bool counts = asked_for || (c->one_llamacpp && strcmp(given->kind, "llamacpp") == 0);
    if (counts)
        return backend_key_unused(backend_kind_find(given->kind), given->key);
    return "it is about the backend that --backend makes, or a file's only `model`; those in a "
           "list have keys of their own";
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *why_unused(const struct config *c, const struct flags *flags,
                              const struct given_flag *given)
{
    static const char *const keys[] = { "api-key", "api-key-file", "tcp-without-key" };
    static const char *const of_model[] = { "model-path", "model-sha256" };
    static const char *const wires[] = { "v2",         "v2-addr", "v2-blob-addr", "embed",
                                         "embed-addr", "rerank",  "rerank-addr" };
    if (is_one_of(given->name, of_model, ARRAY_LEN(of_model)) && !flags->backend)
        return "it is about --backend llamacpp";
    if (given->kind)
        return why_unused_by(c, flags, given);
    if (is_one_of(given->name, wires, ARRAY_LEN(wires)))
        return "this release does not serve that wire";
    if (is_one_of(given->name, keys, ARRAY_LEN(keys)) && !c->tcp)
        return "nothing is served by TCP";
    return NULL;
}

static void say_unused_flags(const struct config *c, const struct flags *flags,
                             struct findings *findings)
{
    struct given_flag given;
    for (size_t at = 0; flags_next_given(flags, &at, &given);) {
        char sentence[256];
        const char *why = why_unused(c, flags, &given);
        snprintf(sentence, sizeof sentence, "--%s (%s) has no effect: %s", given.name,
                 given.variable, why ? why : "");
        if (why)
            findings_add(findings, false, sentence);
    }
}

void config_say_unserved(const struct config *c, const struct flags *flags,
                         struct findings *findings)
{
    say_unused_flags(c, flags, findings);
    if (c->tcp)
        check_tcp(c, findings);
    if (c->tcp_v2 || c->tcp_embed)
        findings_add(findings, false,
                     "listen.tcp_v2 and tcp_embed (--v2-tcp, --embed-tcp) have no effect: this "
                     "release serves only v1 by TCP");
    if (c->write_timeout_secs == 0)
        findings_add(findings, false,
                     "write_timeout_secs is 0: a client that reads nothing keeps its slot for as "
                     "long as it likes");
}
