/*
 * url.h - where a model comes from, and what may be said about it.
 *
 * URLs can hold secrets: a password before the host, a signature behind the '?'.  What
 * is printed or stored is what url_show() leaves.
 */
#pragma once

#include "outcome.h"

enum {
    URL_SHOWN_MAX = 512, /* with the terminator */
    URL_HOST_MAX = 256,
};

/* "https://host/path" without credentials, query and fragment. */
void url_show(const char *url, char ret[URL_SHOWN_MAX]);

/*
 * May we ask there?  INSECURE_URL if it is not https, is no URL, or carries credentials;
 * `what` begins the sentence ("model URL", "redirect").
 */
enum outcome url_check(const char *what, const char *url, struct error *error) MUST_USE;

/* `location` as seen from `base`, in `*ret`, which the caller frees.  The result is not
 * checked.  TRANSPORT if it makes no sense. */
enum outcome url_resolve(const char *base, const char *location, char **ret,
                         struct error *error) MUST_USE;

/* Host in lower case, without brackets; false if there is none. */
bool url_host(const char *url, char ret[URL_HOST_MAX]);

/* Same host and same port. */
bool url_same_server(const char *a, const char *b);

/* The last segment of the path; "" if it ends with a slash. */
void url_filename(const char *url, char ret[URL_HOST_MAX]);

/*
 * The proxy for `url` by the usual variables (https_proxy, all_proxy, no_proxy, each in
 * either case); NULL for none.  Borrowed from the environment.
 */
const char *url_proxy(const char *url);

/* Does an entry of a no_proxy list ("*", "host", ".domain") fit the host? */
bool url_in_list(const char *host, const char *list);
