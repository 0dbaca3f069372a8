/*
 * daemon.h - all of a daemon, for the few files that know everyone.
 */
#pragma once

#include "config/config.h"
#include "daemon/plan.h"
#include "journal/accounting.h"
#include "journal/journal.h"
#include "serve/admin.h"
#include "serve/clients.h"
#include "serve/doors.h"
#include "serve/notify.h"

struct daemon {
    struct flags flags;
    struct config config;
    int lock_fd;
    gid_t group;
    struct plan plan; /* until the first backends are made */

    uv_loop_t loop;
    struct io io;
    struct redactor *redactor; /* for standard error */
    struct journal journal;
    struct accounting accounting;
    struct core core;
    struct clients clients;
    struct admin admin;
    struct listener *admin_listener;
    struct doors doors;
    struct activation activation;
    struct notify notify;
    uv_timer_t watchdog;
    uv_signal_t signals[3];
    uv_timer_t patience;

    bool serving; /* was ever ready: the generation socket is there */
    bool draining;
    bool impatient; /* the limit is over */
    bool finished;
    int exit_code;
};

/* `why` it is to end: nothing new is taken, what runs is finished.  Asked twice, it ends at
 * once.  inferd-daemon.c */
void daemon_end(struct daemon *d, const char *why);

/* Read the configuration again and be what it says.  `notes` gets sentences about what came
 * of it, each ended by a newline.  On failure nothing has changed.  control.c */
enum err daemon_reload(struct daemon *d, struct buf *notes, struct error *error) MUST_USE;

/* The same because of a signal: what came of it is logged. */
void daemon_reload_on_signal(struct daemon *d);

/* The group of the sockets, and the directories that they and the lock lie in.  rundir.c */
enum err daemon_make_place(struct daemon *d, struct error *error) MUST_USE;

/* What systemd is told, and when.  systemd.c */
void systemd_begin(struct daemon *d);
void systemd_backend_changed(struct daemon *d, const struct backend *b);
void systemd_end(struct daemon *d);

/* What the operator orders on the admin socket; its owner is the daemon. */
extern const struct admin_ops daemon_admin_ops;
