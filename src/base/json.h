/*
 * json.h - jansson, with our errors and our limits.
 *
 * Reading: `json_read` parses one strict value; the getters below take a member
 * of an object and say, in words for the person who wrote it, what is wrong with
 * it.  A member that is absent or null leaves `*ret` untouched and is OK, so a
 * default is what `*ret` held before:
 *
 *     uint32_t top_k = 64;
 *     e = json_get_u32(object, "top_k", 0, INT32_MAX, &top_k, error);
 *
 * A wrong type is ERR_PROTOCOL, a value out of range ERR_INVALID_REQUEST: wires
 * treat the two differently.
 *
 * Writing: `json_put_*` append text to a buffer, for the hot paths where building
 * a tree per token would be waste; everything else builds a tree and calls
 * `json_put`.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"

/* CLEANUP(json_drop) json_t *root = ... */
static inline void json_drop(json_t **j)
{
    json_decref(*j);
}

/* Parse exactly one value (of any type); duplicate keys are refused.
 * ERR_PROTOCOL says what is wrong and where; ERR_NO_MEMORY. */
enum err json_read(const char *text, size_t len, json_t **ret_root, struct error *error) MUST_USE;

/* Whole numbers.  `lowest` and `highest` are inclusive and named in the error. */
enum err json_get_int(const json_t *object, const char *name, int64_t lowest, int64_t highest,
                      int64_t *ret, struct error *error) MUST_USE;
enum err json_get_u32(const json_t *object, const char *name, uint32_t lowest, uint32_t highest,
                      uint32_t *ret, struct error *error) MUST_USE;
enum err json_get_u64(const json_t *object, const char *name, uint64_t *ret,
                      struct error *error) MUST_USE;

/* Any JSON number. */
enum err json_get_double(const json_t *object, const char *name, double lowest, double highest,
                         double *ret, struct error *error) MUST_USE;

enum err json_get_bool(const json_t *object, const char *name, bool *ret,
                       struct error *error) MUST_USE;

/* The string is borrowed from `object`; its length may be asked for with
 * json_string_length(json_object_get(...)).  It never holds a NUL. */
enum err json_get_string(const json_t *object, const char *name, const char **ret,
                         struct error *error) MUST_USE;

/* Append `value` as compact text.  A failure leaves the buffer as it was; so do those
 * below. */
enum err json_put(struct buf *out, const json_t *value) MUST_USE;

/* Append UTF-8 `bytes` as a JSON string, with its quotes. */
enum err json_put_string(struct buf *out, const char *bytes, size_t len) MUST_USE;

/* The same without the quotes: pieces of one string, one after the other. */
enum err json_put_escaped(struct buf *out, const char *bytes, size_t len) MUST_USE;
