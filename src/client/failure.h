/*
 * failure.h - a status for the program, a sentence for the person.
 */
#pragma once

#include "base/error.h"
#include "inferd/client.h"

/* Fill `error` (NULL is fine) and return `status`, so that failing is one statement. */
enum inferd_status failure(struct inferd_error *error, enum inferd_status status, const char *fmt,
                           ...) PRINTF(3, 4);

/* The same, with ": <what errno says>" behind the sentence. */
enum inferd_status failure_sys(struct inferd_error *error, enum inferd_status status,
                               const char *fmt, ...) PRINTF(3, 4);

/* INFERD_FAILED and its sentence. */
enum inferd_status failure_nomem(struct inferd_error *error);
