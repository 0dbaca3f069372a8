/* Promises of engines/llama/deep.c. */
#include "llama/deep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"

#include <cmocka.h>

enum { MIB = 1024 * 1024, USED = 32 * MIB };

static size_t resident(const struct deep *d)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = d->bytes / page, count = 0;
    unsigned char *in = calloc(n, 1);
    assert_int_equal(mincore(d->stack, n * page, in), 0);
    for (size_t i = 0; i < n; i++)
        count += in[i] & 1;
    free(in);
    return count * page;
}

struct run {
    struct deep deep;
    size_t while_used, afterwards;
};

static __attribute__((noinline)) void use_stack(struct run *r)
{
    volatile char deep[USED];
    for (size_t i = 0; i < sizeof deep; i += 1024)
        deep[i] = 1;
    r->while_used = resident(&r->deep);
}

static void *run(void *arg)
{
    struct run *r = arg;
    use_stack(r);
    deep_rest(&r->deep);
    r->afterwards = resident(&r->deep);
    return NULL;
}

static void what_was_used_is_given_back(void **state UNUSED)
{
    struct run r;
    struct error error = { .message = "" };
    assert_int_equal(deep_init(&r.deep, 1000, &error), OK);
    assert_int_equal(deep_start(&r.deep, run, &r, &error), OK);
    pthread_join(r.deep.thread, NULL);
    assert_true(r.while_used >= USED);
    assert_true(r.afterwards <= 4 * MIB);
    munmap(r.deep.stack, r.deep.bytes);
}

static void a_stack_is_as_deep_as_its_text_needs(void **state UNUSED)
{
    static const size_t texts[] = { 0, 1000, 100000, 200000 };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct deep d;
        struct error error = { .message = "" };
        assert_int_equal(deep_init(&d, texts[i], &error), OK);
        assert_true(deep_text_max(&d) >= texts[i]);
        assert_true(d.bytes >= deep_text_max(&d) * DEEP_BYTES_PER_BYTE);
        munmap(d.stack, d.bytes);
    }
}

/* No wish is refused, but the text must be shorter then. */
static void it_is_never_too_deep_for_the_machine(void **state UNUSED)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* what sanitizers take is counted, too */
#endif
    struct deep d;
    struct error error = { .message = "" };
    struct rlimit before, limit;
    getrlimit(RLIMIT_DATA, &before);
    limit = before;
    limit.rlim_cur = (rlim_t)2048 * MIB;
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    assert_int_equal(deep_init(&d, SIZE_MAX / 2, &error), OK);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_true(d.bytes <= 2048 / 16 * (size_t)MIB);
    assert_true(deep_text_max(&d) < 128 * 1024);
    munmap(d.stack, d.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_used_is_given_back),
        cmocka_unit_test(a_stack_is_as_deep_as_its_text_needs),
        cmocka_unit_test(it_is_never_too_deep_for_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
