/*
 * url.c - see url.h.  Parsing is libcurl's, so that what is checked is what is used.
 */
#include "url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "address.h"

void url_show(const char *url, char ret[URL_SHOWN_MAX])
{
    size_t n = 0;
    const char *authority = strstr(url, "://");
    if (authority) {
        authority += 3;
        for (const char *c = url; c < authority && n < URL_SHOWN_MAX - 1; c++)
            ret[n++] = *c;
        size_t len = strcspn(authority, "/?#");
        const char *at = memrchr(authority, '@', len);
        url = at ? at + 1 : authority;
    }
    for (; *url && *url != '?' && *url != '#' && n < URL_SHOWN_MAX - 1; url++)
        ret[n++] = *url;
    ret[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (ret[i] <= ' ' || ret[i] > '~' || ret[i] == '"' || ret[i] == '\\')
            ret[i] = '?';
}

/* --- parts ------------------------------------------------------------------ */

static void free_handle(CURLU **h)
{
    curl_url_cleanup(*h);
}

static void free_part(char **part)
{
    curl_free(*part);
}

/* NULL if it is no URL. */
static CURLU *parse(const char *url)
{
    CURLU *h = curl_url();
    if (h && curl_url_set(h, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        curl_url_cleanup(h);
        h = NULL;
    }
    return h;
}

/* NULL if the URL has none; else curl_free() it. */
static char *part(CURLU *h, CURLUPart which, unsigned flags)
{
    char *text = NULL;
    return h && curl_url_get(h, which, &text, flags) == CURLUE_OK ? text : NULL;
}

enum outcome url_check(const char *what, const char *url, struct error *error)
{
    char shown[URL_SHOWN_MAX];
    url_show(url, shown);
    CLEANUP(free_handle) CURLU *h = parse(url);
    CLEANUP(free_part) char *scheme = part(h, CURLUPART_SCHEME, 0);
    CLEANUP(free_part) char *host = part(h, CURLUPART_HOST, 0);
    CLEANUP(free_part) char *user = part(h, CURLUPART_USER, 0);
    CLEANUP(free_part) char *password = part(h, CURLUPART_PASSWORD, 0);
    if (!scheme || strcmp(scheme, "https") != 0 || !host)
        return give_up(error, INSECURE_URL, "%s must be https:// (got \"%s\")", what, shown);
    if (user || password)
        return give_up(error, INSECURE_URL,
                       "%s carries a user name or password; use --header-env instead (\"%s\")",
                       what, shown);
    return PRESENT;
}

enum outcome url_resolve(const char *base, const char *location, char **ret, struct error *error)
{
    char shown[URL_SHOWN_MAX];
    url_show(location, shown);
    CLEANUP(free_handle) CURLU *h = parse(base);
    if (!h || curl_url_set(h, CURLUPART_URL, location,
                           CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) != CURLUE_OK)
        return give_up(error, TRANSPORT, "redirect to \"%s\", which is no URL", shown);
    CLEANUP(free_part) char *url = part(h, CURLUPART_URL, 0);
    if (!url || !(*ret = strdup(url)))
        return give_up(error, BROKEN, "out of memory");
    return PRESENT;
}

bool url_host(const char *url, char ret[URL_HOST_MAX])
{
    CLEANUP(free_handle) CURLU *h = parse(url);
    CLEANUP(free_part) char *host = part(h, CURLUPART_HOST, 0);
    if (!host || strlen(host) >= URL_HOST_MAX)
        return false;
    const char *from = host[0] == '[' ? host + 1 : host;
    size_t len = strcspn(from, "]");
    for (size_t i = 0; i < len; i++)
        ret[i] = (char)tolower((unsigned char)from[i]);
    ret[len] = '\0';
    return true;
}

static bool port_of(const char *url, char ret[8])
{
    CLEANUP(free_handle) CURLU *h = parse(url);
    CLEANUP(free_part) char *port = part(h, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (!port || strlen(port) >= 8)
        return false;
    strcpy(ret, port);
    return true;
}

bool url_same_server(const char *a, const char *b)
{
    char host_a[URL_HOST_MAX], host_b[URL_HOST_MAX], port_a[8], port_b[8];
    return url_host(a, host_a) && url_host(b, host_b) && strcmp(host_a, host_b) == 0 &&
           port_of(a, port_a) && port_of(b, port_b) && strcmp(port_a, port_b) == 0;
}

void url_filename(const char *url, char ret[URL_HOST_MAX])
{
    char shown[URL_SHOWN_MAX];
    url_show(url, shown);
    const char *authority = strstr(shown, "://");
    const char *slash = strrchr(authority ? authority + 3 : shown, '/');
    const char *name = slash ? slash + 1 : "";
    size_t len = strnlen(name, URL_HOST_MAX - 1);
    memcpy(ret, name, len);
    ret[len] = '\0';
}

/* --- proxies ---------------------------------------------------------------- */

static const char *variable(const char *lower, const char *upper)
{
    const char *value = getenv(lower);
    if (!value || !value[0])
        value = getenv(upper);
    return value && value[0] ? value : NULL;
}

/* Is `host` the name `entry`, or inside the domain of that name? */
static bool covers(const char *entry, size_t len, const char *host)
{
    while (len && *entry == '.') {
        entry++;
        len--;
    }
    size_t host_len = strlen(host);
    if (len == 0 || host_len < len || strncasecmp(host + host_len - len, entry, len) != 0)
        return false;
    /* A name inside a domain; there are no addresses inside an address. */
    return host_len == len ||
           (host[host_len - len - 1] == '.' && address_classify(host) == ADDRESS_NONE);
}

bool url_in_list(const char *host, const char *list)
{
    while (*list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len == 1 && *list == '*')
            return true;
        if (covers(list, len, host))
            return true;
        list += len;
    }
    return false;
}

const char *url_proxy(const char *url)
{
    char host[URL_HOST_MAX];
    const char *proxy = variable("https_proxy", "HTTPS_PROXY");
    const char *none = variable("no_proxy", "NO_PROXY");
    if (!proxy)
        proxy = variable("all_proxy", "ALL_PROXY");
    if (!proxy || !url_host(url, host) || (none && url_in_list(host, none)))
        return NULL;
    return proxy;
}
