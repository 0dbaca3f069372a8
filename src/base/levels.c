/*
 * levels.c - see levels.h.
 */
#include "base/levels.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum log_level level;
} names[] = {
    { "off", LOG_OFF },     { "0", LOG_OFF },   { "error", LOG_ERROR }, { "1", LOG_ERROR },
    { "warn", LOG_WARN },   { "2", LOG_WARN },  { "info", LOG_INFO },   { "3", LOG_INFO },
    { "debug", LOG_DEBUG }, { "4", LOG_DEBUG }, { "trace", LOG_DEBUG }, { "5", LOG_DEBUG },
};

void levels_init(struct levels *levels)
{
    *levels = (struct levels){ .all = LOG_INFO };
}

static bool level_from_name(const char *name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcasecmp(name, names[i].name) == 0) {
            *ret = names[i].level;
            return true;
        }
    return false;
}

/* The component that a target names; "" for all of them. */
static const char *component_of(const char *target)
{
    static const char program[] = "inferd_daemon";
    size_t len = strlen(program);
    if (strncmp(target, program, len) != 0)
        return target;
    if (target[len] == '\0')
        return "";
    return strncmp(target + len, "::", 2) == 0 ? target + len + 2 : target;
}

static enum err add_rule(struct levels *levels, const char *component, enum log_level level,
                         struct error *error)
{
    if (!component[0]) {
        levels->all = level;
        return OK;
    }
    if (strlen(component) >= COMPONENT_BYTES_MAX)
        return fail(error, ERR_CONFIG, "a component of the log has at most %d bytes, not '%.80s'",
                    COMPONENT_BYTES_MAX - 1, component);
    if (levels->n_rules == LEVEL_RULES_MAX)
        return fail(error, ERR_CONFIG, "at most %d components may have log levels of their own",
                    LEVEL_RULES_MAX);
    struct level_rule *rule = &levels->rules[levels->n_rules++];
    strcpy(rule->component, component);
    rule->level = level;
    return OK;
}

/* One item between commas, blanks taken off. */
static enum err read_item(struct levels *levels, char *item, struct error *error)
{
    enum log_level level;
    char *equals = strchr(item, '=');
    const char *name = equals ? equals + 1 : item;
    if (!level_from_name(name, &level))
        return fail(error, ERR_CONFIG,
                    "'%.80s' is no log level; they are error, warn, info, debug, trace and off, "
                    "alone or as component=level",
                    name);
    if (!equals)
        return add_rule(levels, "", level, error);
    *equals = '\0';
    return add_rule(levels, component_of(item), level, error);
}

enum err levels_read(const char *text, struct levels *ret, struct error *error)
{
    struct levels levels;
    levels_init(&levels);
    CLEANUP(free_ptr) char *copy = strdup(text);
    if (!copy)
        return fail_nomem(error);
    char *rest = copy, *item;
    while ((item = strsep(&rest, ", "))) {
        enum err e = item[0] ? read_item(&levels, item, error) : OK;
        if (e)
            return e;
    }
    *ret = levels;
    return OK;
}

bool levels_allow(const struct levels *levels, const char *component, enum log_level level)
{
    enum log_level most = levels->all;
    for (size_t i = 0; i < levels->n_rules; i++)
        if (strcmp(levels->rules[i].component, component) == 0)
            most = levels->rules[i].level;
    return level <= most;
}
