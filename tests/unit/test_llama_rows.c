/* Promises of engines/llama/rows.c. */
#include "llama/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

enum { PLACES = 16 };

/* A pass as a word: a digit is so many tokens, `.` nothing, `s` nothing but one to spare.
 * What comes of it, with the spare ones that are in it as 1. */
static const char *after(void (*change)(struct row *rows, uint32_t n), const char *word)
{
    static char out[PLACES + 1];
    struct row rows[PLACES] = { 0 };
    uint32_t n = 0;
    for (; word[n]; n++) {
        assert_true(n < PLACES);
        rows[n].spare = word[n] == 's';
        if (word[n] >= '0' && word[n] <= '9')
            rows[n].tokens = (uint32_t)(word[n] - '0');
    }
    change(rows, n);
    for (uint32_t i = 0; i < n; i++)
        out[i] = rows[i].tokens ? (char)('0' + rows[i].tokens) : rows[i].spare ? 's' : '.';
    out[n] = '\0';
    return out;
}

#define LEVELLED(before, want) assert_string_equal(after(rows_level, before), want)
#define FILLED(before, want)   assert_string_equal(after(rows_fill_up, before), want)

static void pieces_of_almost_one_length_are_cut_to_it(void **state UNUSED)
{
    LEVELLED("5678", "5558"); /* four pieces: two tokens at most */
    LEVELLED("6.5..56", "5.5..55");
    LEVELLED("98765432", "77722222");
}

static void what_differs_by_more_stays(void **state UNUSED)
{
    LEVELLED("59", "59");
    LEVELLED("5959", "5959");
    LEVELLED("7", "7");
    LEVELLED("....", "....");
}

static void two_pieces_are_cut_by_one_token(void **state UNUSED)
{
    LEVELLED("56", "55");
    LEVELLED("57", "57");
}

static void no_piece_is_cut_to_nothing(void **state UNUSED)
{
    LEVELLED("12345678", "11111666");
}

static void a_gap_that_can_be_closed_is(void **state UNUSED)
{
    FILLED("1s1", "111");
    FILLED("1ss1s1", "111111");
    FILLED(".1sss1.", ".11111.");
}

static void a_gap_that_stays_open_costs_no_rows(void **state UNUSED)
{
    FILLED("1.1", "1.1");
    FILLED("1s.1", "1s.1");
    FILLED("1s.s1s1", "1s.s111");
}

/* As many rows as a tile has would be a pass of their own. */
static void a_long_gap_stays(void **state UNUSED)
{
    FILLED("1ssss1", "1ssss1");
}

static void the_last_tile_is_filled(void **state UNUSED)
{
    FILLED("11111sss", "11111111");
    FILLED("11111ssss", "11111111s");
    FILLED("ss111111", "11111111");
    FILLED("s111111s", "11111111");
    FILLED("11111s.ss", "111111.ss");
    FILLED("ss1s111ss", "s11111111"); /* the gap first, then those after, then those before */
}

static void less_than_a_tile_is_not_filled(void **state UNUSED)
{
    FILLED("1s", "1s");
    FILLED("111s", "111s");
    FILLED("1111s", "1111s");
}

static void nobody_writes_for_the_sake_of_it(void **state UNUSED)
{
    FILLED("ssss", "ssss");
    FILLED("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_almost_one_length_are_cut_to_it),
        cmocka_unit_test(what_differs_by_more_stays),
        cmocka_unit_test(two_pieces_are_cut_by_one_token),
        cmocka_unit_test(no_piece_is_cut_to_nothing),
        cmocka_unit_test(a_gap_that_can_be_closed_is),
        cmocka_unit_test(a_gap_that_stays_open_costs_no_rows),
        cmocka_unit_test(a_long_gap_stays),
        cmocka_unit_test(the_last_tile_is_filled),
        cmocka_unit_test(less_than_a_tile_is_not_filled),
        cmocka_unit_test(nobody_writes_for_the_sake_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
