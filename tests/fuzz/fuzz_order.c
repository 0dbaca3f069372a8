/*
 * A line to the admin socket is an order within its bounds, or is answered with a reply that
 * is one line of JSON.
 */
#include "fuzz.h"

#include <string.h>

#include "base/utf8.h"
#include "wire/admin.h"

static void check_line(struct buf *out)
{
    CLEANUP(json_drop) json_t *tree = NULL;
    REQUIRE(out->len > 0 && memchr(out->at, '\n', out->len) == out->at + out->len - 1);
    REQUIRE(json_read(out->at, out->len, &tree, NULL) == OK);
    buf_done(out);
}

static void check_order(const struct admin_order *order, const char *op)
{
    REQUIRE(order->op <= ADMIN_LOAD);
    REQUIRE(strcmp(op, admin_op_name(order->op)) == 0);
    REQUIRE((order->op == ADMIN_CANCEL) == (order->serial > 0));
    REQUIRE(strlen(order->backend) < ADMIN_LABEL_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_order order;
    struct error error;
    struct buf out, notes;
    char op[ADMIN_OP_MAX + 1];
    buf_init(&out, ROOMY);
    buf_init(&notes, ROOMY);
    enum err e = admin_read_order((const char *)data, size, &order, op, &error);
    REQUIRE(strlen(op) <= ADMIN_OP_MAX);
    if (e == OK) {
        check_order(&order, op);
        REQUIRE(admin_put_done(&out, op, &notes) == OK);
    } else {
        REQUIRE(e == ERR_INVALID_REQUEST && error.message[0]);
        REQUIRE(admin_put_refusal(&out, op, &error) == OK);
    }
    check_line(&out);
    return 0;
}
