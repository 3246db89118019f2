/* SPDX-License-Identifier: BSD-2-Clause */
/* src/tune/journal.c: what a run that was broken off leaves to the next. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tune/journal.h"

static char folder[] = "/tmp/clattn_journal_XXXXXX";
static char path[64];
static int refusals;

static void count_refusal(void *user, const char *of, int line, const char *reason)
{
    assert_null(user);
    assert_string_equal(of, path);
    assert_true(line > 0);
    assert_true(strlen(reason) > 0);
    refusals++;
}

static clattn_journal *open_journal(const char *driver, bool resume)
{
    clattn_journal *journal = NULL;
    refusals = 0;
    assert_int_equal(clattn_journal_open(path, driver, resume, count_refusal, NULL, &journal), CLATTN_OK);
    return journal;
}

static clattn_journal_line line_of(int32_t keys, int32_t split_size, clattn_tune_outcome outcome)
{
    return (clattn_journal_line){
        .class_name = "decode frag_dims",
        .kernels = "abc",
        .candidate = { .tile = { .algorithm = CLATTN_ALGORITHM_DECODE,
                                 .fragment = CLATTN_FRAGMENT_DIMS,
                                 .parameters = { 8, 16, keys, 32 } },
                       .split_size = split_size },
        .outcome = outcome,
        .cost = outcome <= CLATTN_TUNE_NOT_FASTER ? 0.5 + keys : 0,
        .seconds = 0.25,
        .incumbent_seconds = 0.5,
        .clock_fault = "",
    };
}

static void add(clattn_journal *journal, int32_t keys, int32_t split_size, clattn_tune_outcome outcome)
{
    const clattn_journal_line line = line_of(keys, split_size, outcome);
    assert_int_equal(clattn_journal_add(journal, &line), CLATTN_OK);
}

static bool find(const clattn_journal *journal, int32_t keys, int32_t split_size, clattn_journal_line *found)
{
    *found = line_of(keys, split_size, CLATTN_TUNE_SKIPPED);
    return clattn_journal_find(journal, found);
}

static void append_text(const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **unused)
{
    (void)unused;
    unlink(path);
    return 0;
}

static void test_resume(void **unused)
{
    (void)unused;
    clattn_journal_line found;
    clattn_journal *journal = open_journal("driver 1", false);
    for (int outcome = CLATTN_TUNE_FASTER; outcome <= CLATTN_TUNE_SKIPPED; outcome++)
        add(journal, 16 + outcome, 512, (clattn_tune_outcome)outcome);
    assert_false(find(journal, 16, 512, &found)); /* this run knows what it did itself */
    assert_int_equal(clattn_journal_end_class(journal, "another", "abc"), CLATTN_OK);
    clattn_journal_close(journal, false);

    journal = open_journal("driver 1", true);
    assert_int_equal(refusals, 0);
    for (int outcome = CLATTN_TUNE_FASTER; outcome <= CLATTN_TUNE_SKIPPED; outcome++) {
        assert_true(find(journal, 16 + outcome, 512, &found));
        assert_int_equal(found.outcome, outcome);
        assert_true(found.cost == (outcome <= CLATTN_TUNE_NOT_FASTER ? 16.5 + outcome : 0));
        assert_true(found.seconds == 0.25 && found.incumbent_seconds == 0.5);
    }
    assert_false(find(journal, 16, 1024, &found));
    assert_false(find(journal, 128, 512, &found));
    found = line_of(16, 512, CLATTN_TUNE_FASTER);
    found.kernels = "other";
    assert_false(clattn_journal_find(journal, &found));
    assert_true(clattn_journal_has_class(journal, "another", "abc"));
    assert_false(clattn_journal_has_class(journal, "another", "other"));
    assert_false(clattn_journal_has_class(journal, "decode frag_dims", "abc"));
    add(journal, 96, 512, CLATTN_TUNE_WRONG);
    clattn_journal_close(journal, false);

    journal = open_journal("driver 1", true);
    assert_true(find(journal, 96, 512, &found));
    assert_int_equal(found.outcome, CLATTN_TUNE_WRONG);
    assert_true(find(journal, 16, 512, &found));
    clattn_journal_close(journal, true);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_fresh_start(void **unused)
{
    (void)unused;
    clattn_journal_line found;
    clattn_journal *journal = open_journal("driver 1", false);
    add(journal, 16, 0, CLATTN_TUNE_FASTER);
    clattn_journal_close(journal, false);
    clattn_journal_close(open_journal("driver 1", false), false);
    journal = open_journal("driver 1", true);
    assert_false(find(journal, 16, 0, &found));
    clattn_journal_close(journal, false);
}

static void test_other_driver(void **unused)
{
    (void)unused;
    clattn_journal_line found;
    clattn_journal *journal = open_journal("driver 1", false);
    add(journal, 16, 0, CLATTN_TUNE_FASTER);
    add(journal, 32, 0, CLATTN_TUNE_FASTER);
    clattn_journal_close(journal, false);
    journal = open_journal("driver 2", true);
    assert_int_equal(refusals, 2);
    assert_false(find(journal, 16, 0, &found));
    add(journal, 16, 0, CLATTN_TUNE_CRASHED);
    clattn_journal_close(journal, false);
    journal = open_journal("driver 2", true);
    assert_true(find(journal, 16, 0, &found));
    assert_int_equal(found.outcome, CLATTN_TUNE_CRASHED);
    clattn_journal_close(journal, false);
}

/* Killed in the middle of a write: the torn line is left out, and does not spoil the next. */
static void test_torn_line(void **unused)
{
    (void)unused;
    clattn_journal_line found;
    clattn_journal *journal = open_journal("driver 1", false);
    add(journal, 16, 0, CLATTN_TUNE_FASTER);
    clattn_journal_close(journal, false);
    append_text("{\"schema\":1,\"driver\":\"dri");
    journal = open_journal("driver 1", true);
    assert_int_equal(refusals, 1);
    assert_true(find(journal, 16, 0, &found));
    add(journal, 32, 0, CLATTN_TUNE_NOT_FASTER);
    clattn_journal_close(journal, false);
    journal = open_journal("driver 1", true);
    assert_int_equal(refusals, 1);
    assert_true(find(journal, 16, 0, &found));
    assert_true(find(journal, 32, 0, &found));
    clattn_journal_close(journal, false);
}

static void test_garbage(void **unused)
{
    (void)unused;
    clattn_journal_line found;
    append_text(
        "\n[1]\n{\"schema\":2}\n{\"schema\":1}\n{\"schema\":1,\"driver\":\"d\",\"tile\":3,\"class\":{}}\n\xff\n");
    clattn_journal *journal = open_journal("d", true);
    assert_int_equal(refusals, 5);
    assert_false(find(journal, 16, 0, &found));
    clattn_journal_close(journal, false);
}

static void test_unusable_path(void **unused)
{
    (void)unused;
    clattn_journal *journal = NULL;
    assert_int_equal(clattn_journal_open("/dev/null/x.journal", "d", false, NULL, NULL, &journal), CLATTN_IO_ERROR);
    assert_null(journal);
    assert_non_null(strstr(clattn_last_error(), "/dev/null/x.journal"));
    assert_int_equal(clattn_journal_open(folder, "d", true, NULL, NULL, &journal), CLATTN_IO_ERROR);
    clattn_journal_close(NULL, true);
}

static int make_folder(void **unused)
{
    (void)unused;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/record.json.journal", folder);
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_resume, set_up),       cmocka_unit_test_setup(test_fresh_start, set_up),
        cmocka_unit_test_setup(test_other_driver, set_up), cmocka_unit_test_setup(test_torn_line, set_up),
        cmocka_unit_test_setup(test_garbage, set_up),      cmocka_unit_test_setup(test_unusable_path, set_up),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
