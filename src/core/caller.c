/*
 * caller.c - see caller.h.
 *
 * Users of a machine are few, and so are their programs: both are lists.
 */
#include "core/caller.h"

#include <string.h>

void callers_init(struct callers *callers)
{
    *callers = (struct callers){ 0 };
    list_init(&callers->users);
}

/* --- users ------------------------------------------------------------------ */

static struct user *find_user(struct callers *callers, uid_t uid)
{
    LIST_EACH(struct user, u, &callers->users, link)
        if (u->uid == uid)
            return u;
    return NULL;
}

static struct user *add_user(struct callers *callers, uid_t uid)
{
    struct user *u = callers->users.len < CALLER_USERS_MAX ? calloc(1, sizeof *u) : NULL;
    if (!u)
        return NULL;
    u->uid = uid;
    list_init(&u->callers);
    list_init(&u->turns);
    list_append(&callers->users, &u->link);
    return u;
}

static void forget_user(struct callers *callers, struct user *u)
{
    if (u->callers.len > 0)
        return;
    list_remove(&callers->users, &u->link);
    free(u);
}

/* --- its executables -------------------------------------------------------- */

static struct caller *find_caller(struct user *u, const char *label)
{
    LIST_EACH(struct caller, c, &u->callers, link)
        if (strncmp(c->label, label, CALLER_LABEL_MAX) == 0)
            return c;
    return NULL;
}

static struct caller *add_caller(struct callers *callers, struct user *u, const char *label)
{
    struct caller *c = calloc(1, sizeof *c);
    char *copy = strndup(label, CALLER_LABEL_MAX);
    if (!c || !copy) {
        free(copy);
        free(c);
        return NULL;
    }
    c->user = u;
    c->number = ++callers->last_number;
    c->uid = u->uid;
    c->label = copy;
    list_init(&c->waiting);
    list_init(&c->later);
    list_append(&u->callers, &c->link);
    return c;
}

static bool has_room_for(const struct user *u, const struct caller *known)
{
    return (known && known->connections > 0) || u->connected < CALLER_EXECUTABLES_MAX;
}

static struct caller *take_caller(struct callers *callers, struct user *u, const char *label)
{
    struct caller *c = find_caller(u, label);
    if (!has_room_for(u, c)) {
        label = "";
        c = find_caller(u, label);
    }
    return c ? c : add_caller(callers, u, label);
}

/* --- what others call ------------------------------------------------------- */

struct caller *callers_enter(struct callers *callers, uid_t uid, const char *label)
{
    struct user *u = find_user(callers, uid);
    if (!u)
        u = add_user(callers, uid);
    if (!u)
        return NULL;
    struct caller *c = take_caller(callers, u, label ? label : "");
    if (!c) {
        forget_user(callers, u);
        return NULL;
    }
    if (c->connections++ == 0)
        u->connected++;
    return caller_hold(c);
}

void caller_leave(struct callers *callers, struct caller *c)
{
    assert(c->connections > 0);
    if (--c->connections == 0)
        c->user->connected--;
    caller_drop(callers, c);
}

struct caller *caller_hold(struct caller *c)
{
    c->holders++;
    return c;
}

void caller_drop(struct callers *callers, struct caller *c)
{
    assert(c->holders > 0);
    if (--c->holders > 0)
        return;
    struct user *u = c->user;
    assert(caller_waits(c) == 0 && c->running == 0);
    list_remove(&u->callers, &c->link);
    free(c->label);
    free(c);
    forget_user(callers, u);
}
