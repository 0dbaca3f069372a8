/*
 * test_inventory.c - what is in the store: listed, verified, removed, and collected when
 * nobody needs it.
 */
#include "store_rig.h"

#include <signal.h>
#include <time.h>

#include "store/inventory.h"
#include "store/models.h"
#include "store/partial.h"

#define ABC_DIR       "store/blobs/sha256/ba/" ABC
#define EMPTY_DIR     "store/blobs/sha256/e3/" EMPTY
#define EMPTY_PARTIAL "store/blobs/sha256/e3/.partial-" EMPTY

static int begin_write(void **state)
{
    rig_begin(state);
    FINE(store_begin_write(&rig, why));
    return 0;
}

#undef RIG_TEST
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, begin_write, rig_end)

static void make_manifest(const char *name, const char *hex)
{
    struct manifest m = { .blob = rig_digest(hex), .size_bytes = 3, .produced_by = "x/1" };
    snprintf(m.name, sizeof m.name, "%s", name);
    FINE(manifest_write(&rig, &m, why));
}

/* --- models ------------------------------------------------------------------------- */

static void models_are_listed_by_name(void **state UNUSED)
{
    make_blob(ABC, "abc");
    make_manifest("b", ABC);
    make_manifest("b-c", EMPTY);
    make_file("store/manifests/a.json", "{");
    make_file("store/manifests/z.json.tmp", "{");
    make_file("store/manifests/no name.json", "{");
    CLEANUP(models_done) struct models models = { 0 };
    FINE(models_list(&rig, &models, why));
    assert_int_equal(models.n, 3);
    assert_string_equal(models.at[0].name, "a");
    assert_int_equal(models.at[0].unreadable.code, ERR_PROTOCOL);
    assert_string_equal(models.at[1].name, "b");
    assert_int_equal(models.at[1].unreadable.code, OK);
    assert_true(models.at[1].present);
    assert_int_equal(models.at[1].size, 3);
    assert_string_equal(models.at[2].name, "b-c");
    assert_false(models.at[2].present);
}

static void a_store_that_is_not_there_is_empty(void **state UNUSED)
{
    struct store s;
    FINE(store_open(&s, "nowhere", why));
    CLEANUP(models_done) struct models models = { 0 };
    FINE(models_list(&s, &models, why));
    assert_int_equal(models.n, 0);
    CLEANUP(inventory_done) struct inventory i = { 0 };
    FINE(inventory_take(&s, &i, why));
    FINE(gc_run(&s, time(NULL), &i, why));
    assert_int_equal(i.n, 0);
    store_done(&s);
    assert_false(exists("nowhere"));
}

static void expect_verdict(enum verdict verdict, const char *found)
{
    CLEANUP(manifest_done) struct manifest m = { 0 };
    struct verified v;
    FINE(manifest_read(&rig, "m", &m, why));
    FINE(model_verify(&rig, &m, NULL, &v, why));
    assert_int_equal(v.verdict, verdict);
    assert_string_equal(v.found.hex, found);
}

static void verifying_looks_at_every_byte(void **state UNUSED)
{
    make_manifest("m", ABC);
    expect_verdict(VERDICT_MISSING, "");
    make_blob(ABC, "abc");
    expect_verdict(VERDICT_RIGHT, ABC);
    make_file(ABC_DIR "/data", "");
    expect_verdict(VERDICT_WRONG, EMPTY);
}

static void removing_a_model_removes_its_blob(void **state UNUSED)
{
    make_blob(ABC, "abc");
    make_manifest("m", ABC);
    struct removed r;
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB);
    assert_int_equal(r.bytes, 3);
    assert_false(exists(ABC_DIR));
    assert_false(exists("store/manifests/m.json"));
    FAILS(model_remove(&rig, "m", &r, why), ERR_NOT_FOUND, "no model \"m\"");
    make_manifest("m", ABC);
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_NO_BLOB);
}

static void a_blob_stays_while_another_manifest_refers_to_it(void **state UNUSED)
{
    make_blob(ABC, "abc");
    make_manifest("m", ABC);
    make_manifest("n", ABC);
    make_file("store/manifests/bad.json", "{");
    struct removed r;
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB_LATER); /* what does the bad one refer to? */
    assert_true(exists(ABC_DIR "/data"));
    FINE(model_remove(&rig, "bad", &r, why));
    assert_int_equal(r.blob, REMOVED_NO_BLOB);
    make_manifest("m", ABC);
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB_SHARED);
    assert_true(exists(ABC_DIR "/data"));
    FINE(model_remove(&rig, "n", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB);
}

/* --- inventory ------------------------------------------------------------------------ */

/* One of everything: a blob that "m" means and one that nobody does, a partial,
 * quarantine, staging, a draft. */
static void fill(void)
{
    make_blob(ABC, "abc");
    make_manifest("m", ABC);
    make_blob(EMPTY, "");
    make_dir(EMPTY_PARTIAL);
    make_file(EMPTY_PARTIAL "/data.tmp", "12345");
    make_file(EMPTY_PARTIAL "/journal", "12");
    make_dir("store/locks/quarantine");
    make_file("store/locks/quarantine/20260102T030405Z-sha-mismatch.bin", "wrong");
    make_file("store/locks/.import-x", "half");
    make_file("store/manifests/x.json.tmp", "{");
}

static const int64_t hour = 60 * 60;

static void expect_items(const struct inventory *i, const char *want)
{
    char got[1024] = "";
    for (size_t k = 0; k < i->n; k++) {
        char one[128];
        snprintf(one, sizeof one, "%s%s:%d ", i->at[k].needed ? "+" : "",
                 item_kind_name(i->at[k].kind), (int)i->at[k].bytes);
        strncat(got, one, sizeof got - strlen(got) - 1);
    }
    assert_string_equal(got, want);
}

#define ALL_GARBAGE "partial:7 blob:0 staging:4 quarantine:5 draft:1 "

static void everything_that_takes_room_is_in_the_inventory(void **state UNUSED)
{
    fill();
    CLEANUP(inventory_done) struct inventory i = { 0 };
    FINE(inventory_take(&rig, &i, why));
    expect_items(&i, "+blob:3 " ALL_GARBAGE);
    assert_string_equal(i.at[0].path, "blobs/sha256/ba/" ABC);
    assert_string_equal(i.at[0].digest.hex, ABC);
    assert_string_equal(i.at[1].path, "blobs/sha256/e3/.partial-" EMPTY);
    assert_string_equal(i.at[3].path, "locks/.import-x");
    size_t n;
    assert_int_equal(inventory_bytes(&i, ITEM_BLOB, &n), 3);
    assert_int_equal(n, 2);
}

static void expect_plan(int64_t now, const char *want)
{
    CLEANUP(inventory_done) struct inventory plan = { 0 };
    FINE(gc_plan(&rig, now, &plan, why));
    expect_items(&plan, want);
}

static void a_plan_touches_nothing(void **state UNUSED)
{
    fill();
    expect_plan(time(NULL) + 2 * hour, ALL_GARBAGE);
    expect_plan(time(NULL) + 2 * hour, ALL_GARBAGE);
    assert_true(exists(EMPTY_DIR "/data"));
}

static void what_is_younger_than_an_hour_stays(void **state UNUSED)
{
    fill();
    expect_plan(time(NULL) + hour - 60, "");
    expect_plan(time(NULL) - hour, "");
    CLEANUP(inventory_done) struct inventory gone = { 0 };
    FINE(gc_run(&rig, time(NULL), &gone, why));
    expect_items(&gone, "");
    assert_true(exists(EMPTY_DIR "/data"));
    assert_true(exists(EMPTY_PARTIAL "/journal"));
}

static void an_old_time_stamp_does_not_make_a_moved_file_old(void **state UNUSED)
{
    fill();
    struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    assert_int_equal(utimensat(AT_FDCWD, EMPTY_DIR "/data", old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, EMPTY_DIR, old, 0), 0);
    expect_plan(time(NULL), "");
}

static struct store theirs;

static void write_to_the_store(void)
{
    struct error error;
    if (store_open(&theirs, "store", &error) || store_begin_write(&theirs, &error))
        _exit(1);
}

static void what_nobody_needs_is_collected(void **state UNUSED)
{
    fill();
    make_file("store/locks/x.lock", "");
    CLEANUP(inventory_done) struct inventory gone = { 0 };
    FINE(gc_run(&rig, time(NULL) + 2 * hour, &gone, why));
    expect_items(&gone, ALL_GARBAGE);
    assert_false(exists(EMPTY_DIR));
    assert_false(exists(EMPTY_PARTIAL));
    assert_false(exists("store/locks/.import-x"));
    assert_false(exists("store/manifests/x.json.tmp"));
    assert_false(exists("store/locks/quarantine/20260102T030405Z-sha-mismatch.bin"));
    assert_true(exists("store/locks/x.lock"));
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    assert_true(exists("store/manifests/m.json"));
    expect_plan(time(NULL) + 2 * hour, "");

    struct other other = rig_other(write_to_the_store); /* gc is over, others may go on */
    rig_release(&other);
}

static void the_partial_of_a_model_that_lacks_its_blob_stays(void **state UNUSED)
{
    fill();
    make_manifest("n", EMPTY);
    assert_int_equal(unlink(EMPTY_DIR "/data"), 0);
    assert_int_equal(rmdir(EMPTY_DIR), 0);
    CLEANUP(inventory_done) struct inventory i = { 0 };
    FINE(inventory_take(&rig, &i, why));
    expect_items(&i, "+blob:3 +partial:7 staging:4 quarantine:5 draft:1 ");
    make_blob(EMPTY, ""); /* now nobody will go on with it */
    expect_plan(time(NULL) + 2 * hour, "partial:7 staging:4 quarantine:5 draft:1 ");
}

static void an_unreadable_manifest_stops_it_all(void **state UNUSED)
{
    fill();
    make_file("store/manifests/bad.json", "{");
    CLEANUP(inventory_done) struct inventory i = { 0 };
    FAILS(gc_run(&rig, time(NULL) + 2 * hour, &i, why), ERR_PROTOCOL, "bad.json");
    FAILS(gc_plan(&rig, time(NULL) + 2 * hour, &i, why), ERR_PROTOCOL, "bad.json");
    assert_true(exists(EMPTY_DIR "/data"));
}

/* --- others at work ------------------------------------------------------------------------ */

/* As a program that knows no .gc lock. */
static void lock_a_name(void)
{
    int fd;
    struct error error;
    if (store_lock_name(&rig, "x", "fetched", false, &fd, &error))
        _exit(1);
}

static void write_a_partial(void)
{
    struct error error;
    struct partial p;
    struct digest d = rig_digest(EMPTY);
    if (partial_open(&p, &rig, &d, false, &error))
        _exit(1);
}

static void gc_waits_for_nobody_and_disturbs_nobody(void **state UNUSED)
{
    fill();
    CLEANUP(inventory_done) struct inventory i = { 0 };
    struct other other = rig_other(write_to_the_store);
    FAILS(gc_run(&rig, time(NULL) + 2 * hour, &i, why), ERR_BUSY, "is writing to the model store");
    rig_release(&other);
    other = rig_other(lock_a_name);
    FAILS(gc_run(&rig, time(NULL) + 2 * hour, &i, why), ERR_BUSY, "model \"x\" is being written");
    expect_plan(time(NULL) + 2 * hour, "partial:7 blob:0 quarantine:5 ");
    rig_release(&other);
    assert_true(exists(EMPTY_DIR "/data"));
    assert_true(exists(EMPTY_PARTIAL "/data.tmp"));
}

static void a_partial_that_is_being_written_stays(void **state UNUSED)
{
    fill();
    struct other other = rig_other(write_a_partial);
    CLEANUP(inventory_done) struct inventory i = { 0 };
    FINE(gc_run(&rig, time(NULL) + 2 * hour, &i, why));
    expect_items(&i, "blob:0 staging:4 quarantine:5 draft:1 ");
    assert_true(exists(EMPTY_PARTIAL "/data.tmp"));
    rig_release(&other);
}

static void publish_a_blob(void)
{
    struct error error;
    struct partial p;
    struct digest d = rig_digest(EMPTY);
    if (partial_open(&p, &rig, &d, false, &error) || partial_publish(&p, &error))
        _exit(1);
}

static void a_blob_whose_maker_has_not_let_go_stays(void **state UNUSED)
{
    struct other other = rig_other(publish_a_blob);
    expect_plan(time(NULL) + 2 * hour, "");
    rig_release(&other);
    expect_plan(time(NULL) + 2 * hour, "blob:0 ");
}

static void a_model_is_removed_but_its_blob_stays_while_others_write(void **state UNUSED)
{
    fill();
    struct removed r;
    struct other other = rig_other(write_to_the_store);
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB_LATER);
    assert_false(exists("store/manifests/m.json"));
    assert_true(exists(ABC_DIR "/data"));
    rig_release(&other);
    make_manifest("m", ABC);
    other = rig_other(lock_a_name);
    FINE(model_remove(&rig, "m", &r, why));
    assert_int_equal(r.blob, REMOVED_BLOB_LATER);
    make_manifest("x", ABC);
    FAILS(model_remove(&rig, "x", &r, why), ERR_BUSY,
          "model \"x\" is being written by another process");
    assert_true(exists("store/manifests/x.json"));
    rig_release(&other);
}

static void collect(void)
{
    struct error error;
    struct alone alone;
    if (store_open(&theirs, "store", &error) || store_begin_write(&theirs, &error) ||
        alone_begin(&alone, &theirs, NULL, &error))
        _exit(1);
}

static void a_writer_waits_for_gc(void **state UNUSED)
{
    store_done(&rig);
    FINE(store_open(&rig, "store", why));
    struct other other = rig_other(collect);
    kill(other.pid, SIGKILL);
    FINE(store_begin_write(&rig, why));
    rig_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(models_are_listed_by_name),
        RIG_TEST(a_store_that_is_not_there_is_empty),
        RIG_TEST(verifying_looks_at_every_byte),
        RIG_TEST(removing_a_model_removes_its_blob),
        RIG_TEST(a_blob_stays_while_another_manifest_refers_to_it),
        RIG_TEST(everything_that_takes_room_is_in_the_inventory),
        RIG_TEST(a_plan_touches_nothing),
        RIG_TEST(what_is_younger_than_an_hour_stays),
        RIG_TEST(an_old_time_stamp_does_not_make_a_moved_file_old),
        RIG_TEST(what_nobody_needs_is_collected),
        RIG_TEST(the_partial_of_a_model_that_lacks_its_blob_stays),
        RIG_TEST(an_unreadable_manifest_stops_it_all),
        RIG_TEST(gc_waits_for_nobody_and_disturbs_nobody),
        RIG_TEST(a_partial_that_is_being_written_stays),
        RIG_TEST(a_blob_whose_maker_has_not_let_go_stays),
        RIG_TEST(a_model_is_removed_but_its_blob_stays_while_others_write),
        RIG_TEST(a_writer_waits_for_gc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
