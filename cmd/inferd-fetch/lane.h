/*
 * lane.h - one request at a time on one connection: dialled, judged, written to the sink.
 *
 * curl calls back in the middle of its work, where no other request may be touched.  So a
 * lane only notes what it finds there, and the transfer acts on it afterwards.
 */
#pragma once

#include <curl/curl.h>

#include "address.h"
#include "answer.h"
#include "transfer.h"

enum {
    REDIRECTS_MAX = 5,
};

enum finding {
    FINDING_NONE,
    FINDING_FATAL,      /* `outcome` and `error` say what the program ends with */
    FINDING_CHANGED,    /* it is another file than before */
    FINDING_ONE_STREAM, /* the server ignores ranges, and other lanes are under way */
};

struct lane {
    const struct transfer_order *order; /* borrowed */
    CURL *easy;
    struct curl_slist *headers;   /* owned */
    char *url;                    /* of this hop; owned */
    unsigned hops;                /* redirects behind us */
    enum address_class came_from; /* the worst to come from of the hops before; if hops > 0 */
    enum address_class here;      /* of the server of this hop */
    bool proxied;
    bool busy;
    bool ranged;        /* the request asks for a range */
    bool alone;         /* no other lane is busy */
    struct span want;   /* what this lane is to bring */
    uint64_t at;        /* how far it is */
    bool answered;      /* `answer` is the server's */
    bool takes_body;    /* the body belongs to the file */
    size_t thrown_away; /* of a body that does not */
    struct answer answer;
    uint64_t received; /* for the file, since the lane was made */
    enum finding finding;
    enum outcome outcome;
    struct error error;
    char reason[CURL_ERROR_SIZE];
};

enum outcome lane_init(struct lane *l, const struct transfer_order *order,
                       struct error *error) MUST_USE;

/* Not in a multi handle any more. */
void lane_done(struct lane *l);

/*
 * Prepare `easy` to ask l->url, which was checked, for l->want (or, without l->ranged, for
 * everything).  `rate` is in bytes per second, 0 for none.
 */
enum outcome lane_prepare(struct lane *l, uint64_t rate, struct error *error) MUST_USE;

/* The answer may be without a body; after curl has said that the request is done, this has
 * judged it in any case. */
void lane_conclude(struct lane *l);
