/* SPDX-License-Identifier: BSD-2-Clause */
/* src/tune/lines.c: what a worker that is slow, broken or gone looks like from the other end of the socket; and
 * src/tune/points.c: the candidates of a class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tune/lines.h"
#include "tune/points.h"
#include "util/clock.h"

/* Seconds until a wait is given up; what is waited for here is there already. */
#define PLENTY 3600.0

/* Too large for stacks. */
static clattn_lines ours, theirs;

static int connect_ends(void **unused)
{
    int ends[2];
    (void)unused;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return -1;
    ours.socket = ends[0];
    theirs.socket = ends[1];
    ours.used = theirs.used = 0;
    return 0;
}

static int close_ends(void **unused)
{
    (void)unused;
    close(ours.socket);
    close(theirs.socket);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(theirs.socket, text, strlen(text)), (ssize_t)strlen(text));
}

static clattn_line_result hear(double seconds, json_t **line)
{
    return clattn_lines_receive(&ours, clattn_clock_seconds() + seconds, NULL, NULL, line);
}

static void expect_number(double seconds, int number)
{
    json_t *line = NULL;
    assert_int_equal(hear(seconds, &line), CLATTN_LINE_READ);
    assert_int_equal(json_integer_value(json_object_get(line, "n")), number);
    json_decref(line);
}

static void test_lines(void **unused)
{
    (void)unused;
    json_t *line = NULL;
    assert_true(clattn_lines_send(&theirs, json_pack("{s:i}", "n", 1)));
    expect_number(PLENTY, 1);
    say("{\"n\":2}\n{\"n\":3}\n{\"n\"");
    expect_number(PLENTY, 2);
    expect_number(0, 3); /* it is here already */
    const double begin = clattn_clock_seconds();
    assert_int_equal(hear(0.05, &line), CLATTN_LINE_LATE);
    assert_true(clattn_clock_seconds() - begin >= 0.05);
    say(":4}\n");
    expect_number(PLENTY, 4);
    assert_false(clattn_lines_send(&ours, NULL));
}

static void test_garbage(void **unused)
{
    (void)unused;
    static const char *const texts[] = { "hello\n", "\n", "[1]\n", "3\n", "{\"n\":1}}\n" };
    json_t *line = NULL;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        say(texts[i]);
        assert_int_equal(hear(PLENTY, &line), CLATTN_LINE_GARBAGE);
    }
    static char endless[sizeof(ours.data) + 1];
    memset(endless, '.', sizeof(endless) - 1);
    say(endless);
    assert_int_equal(hear(PLENTY, &line), CLATTN_LINE_GARBAGE);
}

/* No signal, either: this process would be gone. */
static void test_other_end_gone(void **unused)
{
    (void)unused;
    json_t *line = NULL;
    say("{\"n\":5}\n{");
    close(theirs.socket);
    theirs.socket = -1;
    expect_number(PLENTY, 5);
    assert_int_equal(hear(PLENTY, &line), CLATTN_LINE_ENDED);
    assert_false(clattn_lines_send(&ours, json_pack("{s:i}", "n", 1)));
}

static bool stop_third(void *user)
{
    int *asked = user;
    return ++*asked == 3;
}

static void test_stop(void **unused)
{
    (void)unused;
    int asked = 0;
    json_t *line = NULL;
    const double begin = clattn_clock_seconds();
    assert_int_equal(clattn_lines_receive(&ours, begin + PLENTY, stop_third, &asked, &line), CLATTN_LINE_STOPPED);
    assert_int_equal(asked, 3);
    assert_true(clattn_clock_seconds() - begin < PLENTY / 2);
}

static const clattn_device_info info = {
    .vendor = "v",
    .type = "cpu",
    .native_vector_width_float = 8,
    .local_mem_size = 32768,
    .max_work_group_size = 1024,
};

/* Each once, all with the default's split size in whole tiles, the default first. */
static void test_points(void **unused)
{
    (void)unused;
    const clattn_tile_problem problem = { .head_dim = 128, .v_head_dim = 128 };
    const clattn_tile *tile = clattn_tile_default(CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_DIMS, &problem, &info);
    assert_non_null(tile);
    const clattn_candidate start = { .tile = *tile, .split_size = 512 };
    clattn_points points;
    assert_true(clattn_points_make(&start, &problem, &info, &points));
    assert_true(points.count > 1);
    assert_true(clattn_candidate_equal(&points.candidates[points.start], &start));
    for (size_t i = 0; i < points.count; i++) {
        const clattn_candidate *candidate = &points.candidates[i];
        assert_int_equal(candidate->split_size % clattn_tile_keys(&candidate->tile), 0);
        assert_in_range(candidate->split_size, 512, 512 + clattn_tile_keys(&candidate->tile) - 1);
        for (size_t j = 0; j < i; j++) {
            assert_false(clattn_tile_equal(&candidate->tile, &points.candidates[j].tile));
            assert_memory_not_equal(&points.places[i], &points.places[j], sizeof(points.places[i]));
        }
    }
    clattn_points_free(&points);
}

static void test_splits(void **unused)
{
    (void)unused;
    int32_t splits[CLATTN_POINTS_MAX_SPLITS];
    clattn_tile tile = { .algorithm = CLATTN_ALGORITHM_DECODE,
                         .fragment = CLATTN_FRAGMENT_DIMS,
                         .parameters = { 8, 16, 64, 32 } };
    assert_int_equal(clattn_points_splits(&tile, 2048, splits), 5);
    assert_int_equal(splits[0], 128);
    assert_int_equal(splits[4], 2048);
    assert_int_equal(clattn_points_splits(&tile, 100000, splits), 7);
    assert_int_equal(clattn_points_splits(&tile, 1, splits), 1);
    tile.parameters[CLATTN_DIMS_KEYS] = 96;
    assert_int_equal(clattn_points_splits(&tile, 700, splits), 4);
    assert_int_equal(splits[0], 192);
    assert_int_equal(splits[3], 1056);
    tile.parameters[CLATTN_DIMS_KEYS] = 1000;
    assert_int_equal(clattn_points_splits(&tile, 100000, splits), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, connect_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_garbage, connect_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_other_end_gone, connect_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_stop, connect_ends, close_ends),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_splits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
