/* SPDX-License-Identifier: BSD-2-Clause */
/* One tuning record: what of a text is taken and what is refused, where, and how records are merged into files. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plan/record.h"
#include "util/file.h"
#include "util/text.h"

#define MAX_REFUSALS 8

#define DEVICE                                                                                                         \
    "{\"platform\": \"P\", \"name\": \"A CPU (R)\", \"vendor\": \"V\", \"type\": \"cpu\", \"architecture\": "          \
    "\"x86-64-v3\", \"isa\": \"ab\", \"compute_units\": 4, \"cache_bytes\": 1024, \"vector_width\": 8}"
#define CLASS                                                                                                          \
    "{\"q_dtype\": \"f16\", \"k_dtype\": \"f16\", \"v_dtype\": \"f16\", \"head_dim\": 128, \"v_head_dim\": 128, "      \
    "\"paged\": true, \"grouped\": true}"
#define CANDIDATE                                                                                                      \
    "\"kernel\": \"decode\", \"fragment\": \"frag_dims\", \"class\": " CLASS                                           \
    ", \"tile\": {\"lanes\": 8, \"rows\": 16, \"keys\": 64, \"db\": 32}, \"split_size\": 512, "                        \
    "\"driver\": \"3.1\", \"kernels\": \"abcd\""
#define ENTRY                                                                                                          \
    "{" CANDIDATE ", \"library\": \"0.1.0\", \"date\": \"2026-11-27\", \"seconds\": 0.00125, "                         \
    "\"default_seconds\": 0.0025, \"points\": 24, \"exhaustive\": false}"
#define FAULT      "{" CANDIDATE ", \"fault\": \"crashed\"}"
#define HEAD       "{\"schema\": 1,\n\"device\": " DEVICE
#define RECORD     HEAD ",\n\"entries\": [\n" ENTRY "\n],\n\"faults\": [\n" FAULT "\n]}\n"
#define ENTRY_LINE 4
#define FAULT_LINE 7

typedef struct refusals {
    int count, lines[MAX_REFUSALS];
    char reasons[MAX_REFUSALS][256];
} refusals;

static char folder[] = "/tmp/clattn-test-record-XXXXXX";
static const char *program;

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void hear(void *user, const char *path, int line, const char *reason)
{
    refusals *heard = user;
    assert_non_null(path);
    assert_true(heard->count < MAX_REFUSALS);
    heard->lines[heard->count] = line;
    snprintf(heard->reasons[heard->count++], sizeof(heard->reasons[0]), "%s", reason);
}

static bool parse(const char *text, refusals *heard, clattn_record *out)
{
    *heard = (refusals){ 0 };
    return clattn_record_parse("some.json", text, strlen(text), hear, heard, out);
}

/* RECORD with the first `old` after `from` replaced; to be freed. */
static char *changed(const char *from, const char *old, const char *new)
{
    static const char record[] = RECORD;
    const char *start = strstr(record, from), *at = start ? strstr(start, old) : NULL;
    if (!at)
        fail_msg("the record has no %s", old);
    clattn_text text = { 0 };
    clattn_text_add(&text, "%.*s%s%s", (int)(at - record), record, new, at + strlen(old));
    return clattn_text_take(&text);
}

static void takes_a_sound_record(void **state)
{
    (void)state;
    refusals heard;
    clattn_record record;
    assert_true(parse(RECORD, &heard, &record));
    assert_int_equal(heard.count, 0);
    assert_string_equal(record.device.name, "A CPU (R)");
    assert_int_equal(record.device.cache_bytes, 1024);
    assert_int_equal(record.entry_count, 1);
    const clattn_record_entry *e = &record.entries[0];
    assert_int_equal(e->class.algorithm, CLATTN_ALGORITHM_DECODE);
    assert_int_equal(e->class.fragment, CLATTN_FRAGMENT_DIMS);
    assert_int_equal(clattn_class_value(&e->class, "q_dtype"), CLATTN_F16);
    assert_int_equal(clattn_class_value(&e->class, "paged"), 1);
    assert_int_equal(clattn_class_value(&e->class, "tail"), 0); /* which it does not say */
    assert_int_equal(e->tile.parameters[CLATTN_DIMS_KEYS], 64);
    assert_int_equal(e->split_size, 512);
    assert_string_equal(e->date, "2026-11-27");
    assert_true(e->seconds == 0.00125 && e->default_seconds == 0.0025);
    assert_int_equal(e->points, 24);
    assert_false(e->exhaustive);
    assert_int_equal(e->line, ENTRY_LINE);
    assert_int_equal(record.fault_count, 1);
    assert_string_equal(record.faults[0].fault, "crashed");
    assert_int_equal(record.faults[0].line, FAULT_LINE);
    clattn_record_free(&record);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    refusals heard;
    clattn_record record, again;
    assert_true(parse(RECORD, &heard, &record));
    char *text = clattn_record_text(&record);
    assert_true(parse(text, &heard, &again));
    assert_int_equal(heard.count, 0);
    assert_true(clattn_record_same_device(&record.device, &again.device));
    char *text_again = clattn_record_text(&again);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    clattn_record_free(&record);
    clattn_record_free(&again);
}

static void entries_are_lines_in_the_order_of_classes(void **state)
{
    (void)state;
    refusals heard;
    clattn_record record;
    assert_true(parse(RECORD, &heard, &record));
    clattn_record_entry prefill = record.entries[0];
    const clattn_problem problem = { .desc = { .head_dim = 64, .v_head_dim = 64 } };
    prefill.class = clattn_class_of_problem(&problem, CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES);
    prefill.split_size = 0;
    clattn_space_point(CLATTN_ALGORITHM_PREFILL, CLATTN_FRAGMENT_LANES, 0, &prefill.tile);
    assert_true(clattn_record_set_entry(&record, &prefill));
    char *text = clattn_record_text(&record);
    const char *first = strstr(text, "\n{\"kernel\": \"prefill\""), *second = strstr(text, "\n{\"kernel\": \"decode\"");
    assert_true(first && second && first < second);
    free(text);
    clattn_record_free(&record);
}

/* What is wrong with a file as a whole. */
static void refuses_files(void **state)
{
    (void)state;
    static const struct {
        const char *from, *old, *new, *reason;
        int line;
    } table[] = {
        { "schema", "1", "2", "schema is 2; this version reads 1", 0 },
        { "schema", "1", "\"1\"", "no schema", 0 },
        { "schema", "schema", "scheme", "no schema", 0 },
        { "schema", "\"entries\"", "\"extra\": 1, \"entries\"", "\"extra\"", 0 },
        { "schema", "\"faults\"", "\"failures\"", "\"failures\"", 0 },
        { "schema", "\"entries\": [\n" ENTRY "\n]", "\"entries\": {}", "entries is no array", 0 },
        { "schema", ",\n\"faults\": [\n" FAULT "\n]", "", "lacks the key \"faults\"", 0 },
        { "schema", DEVICE, "3", "device is no object", 0 },
        { "schema", "\"isa\": \"ab\", ", "", "lacks the key \"isa\"", 0 },
        { "schema", "\"isa\": \"ab\"", "\"isa\": 7", "isa is no string", 0 },
        { "schema", "\"isa\": \"ab\"", "\"isa\": \"a\\nb\"", "control character", 0 },
        { "schema", "\"type\": \"cpu\"", "\"type\": \"cup\"", "\"cup\"", 0 },
        { "schema", "\"compute_units\": 4", "\"compute_units\": -4", "compute_units is -4", 0 },
        { "schema", "\"compute_units\": 4", "\"compute_units\": 4.5", "compute_units is no integer", 0 },
        { "seconds", "0.00125", "NaN", "no JSON", ENTRY_LINE },
        { "seconds", "0.00125", "1e999", "no JSON", ENTRY_LINE },
        { "seconds", "0.00125", "0.1, \"seconds\": 0.2", "no JSON", ENTRY_LINE },
        { "schema", "1", "99999999999999999999", "no JSON", 1 },
        { "faults", "\n]}", "\n]", "no JSON", 9 },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        refusals heard;
        clattn_record record;
        char *text = changed(table[i].from, table[i].old, table[i].new);
        assert_false(parse(text, &heard, &record));
        assert_int_equal(heard.count, 1);
        if (!strstr(heard.reasons[0], table[i].reason) || heard.lines[0] != table[i].line)
            fail_msg("row %zu: refused in line %d: %s", i, heard.lines[0], heard.reasons[0]);
        free(text);
    }
}

/* What is wrong with an entry: the fault stays. */
static void refuses_entries(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *reason;
    } table[] = {
        { "\"kernel\": \"decode\"", "\"kernel\": \"encode\"", "kernel is \"encode\"" },
        { "\"kernel\": \"decode\"", "\"kernel\": 1", "kernel is no string" },
        { "\"kernel\": \"decode\"", "\"kernel\": \"prefill\"", "\"frag_dims\", which prefill does not have" },
        { "\"frag_dims\"", "\"frag_none\"", "\"frag_none\"" },
        { "\"q_dtype\": \"f16\"", "\"q_dtype\": \"q8_0\"", "q_dtype is \"q8_0\"" },
        { "\"q_dtype\": \"f16\"", "\"q_dtype\": 1", "q_dtype" },
        { "\"k_dtype\": \"f16\"", "\"k_dtype\": \"f64\"", "k_dtype is \"f64\"" },
        { "\"q_dtype\": \"f16\", ", "", "lacks the key \"q_dtype\"" },
        { "\"q_dtype\": \"f16\"", "\"q_type\": \"f16\"", "\"q_type\"" },
        { "\"head_dim\": 128", "\"head_dim\": 100", "multiple of 64" },
        { "\"head_dim\": 128", "\"head_dim\": 640", "head_dim is 640" },
        { "\"head_dim\": 128", "\"head_dim\": 0", "head_dim is 0" },
        { "\"head_dim\": 128", "\"head_dim\": \"128\"", "head_dim is no integer" },
        { "\"paged\": true", "\"paged\": 1", "paged is neither" },
        { "\"paged\": true", "\"paged\": true, \"tail\": 1", "tail is neither" },
        { CLASS, "[]", "class is no object" },
        { "\"lanes\": 8", "\"lanes\": 7", "lanes is 7" },
        { "\"lanes\": 8", "\"lanes\": 8589934592", "lanes is 8589934592" },
        { "\"lanes\": 8", "\"lanes\": 8.0", "lanes is no integer" },
        { "\"lanes\": 8, ", "", "lacks the key \"lanes\"" },
        { "\"lanes\": 8, ", "\"lanes\": 8, \"tx\": 8, ", "\"tx\"" },
        { "\"keys\": 64, \"db\"", "\"keys\": 65, \"db\"", "keys is 65" },
        { "\"split_size\": 512", "\"split_size\": -1", "split_size is -1" },
        { "\"split_size\": 512", "\"split_size\": 1073741825", "split_size is 1073741825" },
        { "\"driver\": \"3.1\"", "\"driver\": 3.1", "driver is no string" },
        { "\"kernels\": \"abcd\"", "\"kernels\": null", "kernels is no string" },
        { "\"date\": \"2026-11-27\"", "\"date\": \"27.11.2026\"", "date is \"27.11.2026\"" },
        { "\"date\": \"2026-11-27\"", "\"date\": \"2026-13-27\"", "date is" },
        { "\"seconds\": 0.00125", "\"seconds\": 0", "seconds is 0" },
        { "\"seconds\": 0.00125", "\"seconds\": -1.5", "seconds is -1.5" },
        { "\"default_seconds\": 0.0025", "\"default_seconds\": \"1\"", "default_seconds is no number" },
        { "\"points\": 24", "\"points\": 0", "points is 0" },
        { "\"exhaustive\": false", "\"exhaustive\": 0", "exhaustive is neither" },
        { "\"points\": 24, ", "", "lacks the key \"points\"" },
        { "\"points\": 24, ", "\"points\": 24, \"more\": 1, ", "\"more\"" },
        { ENTRY, "7", "the entry is no object" },
        { ENTRY, "\"{[\"", "the entry is no object" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        refusals heard;
        clattn_record record;
        char *text = changed("entries", table[i].old, table[i].new);
        assert_true(parse(text, &heard, &record));
        if (heard.count != 1 || heard.lines[0] != ENTRY_LINE || !strstr(heard.reasons[0], table[i].reason))
            fail_msg("row %zu: %d refusals, in line %d: %s", i, heard.count, heard.lines[0], heard.reasons[0]);
        assert_int_equal(record.entry_count, 0);
        assert_int_equal(record.fault_count, 1);
        clattn_record_free(&record);
        free(text);
    }
}

static void refuses_faults(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "\"fault\": \"crashed\"", "\"fault\": 1" },
        { "\"fault\": \"crashed\"", "\"reason\": \"crashed\"" },
        { "\"db\": 32", "\"db\": 33" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        refusals heard;
        clattn_record record;
        char *text = changed("faults", table[i][0], table[i][1]);
        assert_true(parse(text, &heard, &record));
        assert_int_equal(heard.count, 1);
        assert_int_equal(heard.lines[0], FAULT_LINE);
        assert_int_equal(record.fault_count, 0);
        clattn_record_free(&record);
        free(text);
    }
}

static void finds_lines_of_any_layout(void **state)
{
    (void)state;
    refusals heard;
    clattn_record record;
    char *text = changed("schema", "[\n" ENTRY "\n]",
                         "[ 1, \"a,\\\"[\", [\n2, {\"entries\": [3]} ],\n\n  {\n\"entries\": [\n4\n]\n} , null]");
    static const int lines[] = { 3, 3, 3, 6, 10 };
    assert_true(parse(text, &heard, &record));
    assert_int_equal(heard.count, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(heard.lines[i], lines[i]);
    clattn_record_free(&record);
    free(text);
}

static void the_last_of_a_class_counts(void **state)
{
    (void)state;
    refusals heard;
    clattn_record record;
    char *text = changed("entries", "\n]", ",\n" ENTRY "\n]");
    char *points = strstr(text, "\"points\": 24");
    points[10] = '3';
    assert_true(parse(text, &heard, &record));
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.lines[0], ENTRY_LINE);
    assert_non_null(strstr(heard.reasons[0], "line 5 has the same class"));
    assert_int_equal(record.entry_count, 1);
    assert_int_equal(record.entries[0].points, 24);
    clattn_record_free(&record);
    free(text);
}

static void survives_garbage(void **state)
{
    (void)state;
    const size_t size = (size_t)1 << 20;
    char *garbage = malloc(size);
    assert_non_null(garbage);
    for (int kind = 0; kind < 4; kind++) {
        refusals heard = { 0 };
        clattn_record record;
        for (size_t i = 0; i < size; i++)
            garbage[i] = kind == 0 ? (char)(i * 2654435761U >> 13) : "\0[\""[kind - 1];
        assert_false(clattn_record_parse("garbage", garbage, size, hear, &heard, &record));
        assert_int_equal(heard.count, 1);
        assert_int_equal(record.entry_count, 0);
    }
    free(garbage);
    refusals heard;
    clattn_record record;
    assert_false(parse("", &heard, &record));
    assert_false(parse("[]", &heard, &record));
    assert_false(parse("7", &heard, &record));
}

/* Merging. */

static clattn_record sample(void)
{
    refusals heard;
    clattn_record record;
    assert_true(parse(RECORD, &heard, &record));
    return record;
}

static char *read_file(const char *path)
{
    char *data = NULL;
    size_t size = 0;
    return clattn_file_read(path, (size_t)1 << 24, &data, &size) == 0 ? data : NULL;
}

static void remove_all(const char *path)
{
    static const char *const suffixes[] = { "", ".lock", ".bad" };
    char name[512];
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static void paths_name_the_device(void **state)
{
    (void)state;
    clattn_record record = sample();
    char *path = clattn_record_path("/f", &record.device), *other = NULL;
    assert_int_equal(strncmp(path, "/f/a-cpu-r-", 11), 0);
    assert_int_equal(strlen(path), 11 + 8 + 5);
    assert_string_equal(path + 19, ".json");
    record.device.compute_units++;
    other = clattn_record_path("/f", &record.device);
    assert_string_not_equal(path, other);
    free(path);
    free(other);
    clattn_record_free(&record);
}

static void merges_by_class(void **state)
{
    (void)state;
    clattn_record record = sample(), merged;
    refusals heard = { 0 };
    char *path = clattn_record_path(folder, &record.device);
    assert_int_equal(clattn_record_merge(folder, &record, hear, &heard), CLATTN_OK);
    record.entries[0].points = 99;
    record.faults[0].split_size = 64;
    assert_int_equal(clattn_record_merge(folder, &record, hear, &heard), CLATTN_OK);
    record.entries[0].class.values[3] = 64;
    assert_int_equal(clattn_record_merge(folder, &record, hear, &heard), CLATTN_OK);
    assert_true(clattn_record_read(path, hear, &heard, &merged));
    assert_int_equal(heard.count, 0);
    assert_int_equal(merged.entry_count, 2);
    assert_int_equal(merged.entries[0].points, 99);
    assert_int_equal(merged.fault_count, 2);
    clattn_record_free(&merged);
    clattn_record_free(&record);
    remove_all(path);
    free(path);
}

static void makes_its_folder(void **state)
{
    (void)state;
    clattn_record record = sample();
    char inner[64], deep[80];
    snprintf(inner, sizeof(inner), "%s/new", folder);
    snprintf(deep, sizeof(deep), "%s/folder", inner);
    char *path = clattn_record_path(deep, &record.device);
    assert_int_equal(clattn_record_merge(deep, &record, NULL, NULL), CLATTN_OK);
    remove_all(path);
    free(path);
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(rmdir(inner), 0);
    clattn_record_free(&record);
}

static void keeps_what_is_no_record(void **state)
{
    (void)state;
    clattn_record record = sample(), merged;
    char *path = clattn_record_path(folder, &record.device), bad[512];
    clattn_record_device other = record.device;
    other.cache_bytes++;
    char *device_text = changed("schema", "1024", "1025");
    const char *const texts[] = { "garbage", "{\"schema\": 2}", device_text };
    snprintf(bad, sizeof(bad), "%s.bad", path);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        refusals heard = { 0 };
        assert_int_equal(clattn_file_write_atomic(path, texts[i], strlen(texts[i])), 0);
        assert_int_equal(clattn_record_merge(folder, &record, hear, &heard), CLATTN_OK);
        assert_true(heard.count >= 1);
        char *kept = read_file(bad);
        assert_string_equal(kept, texts[i]);
        free(kept);
        assert_true(clattn_record_read(path, NULL, NULL, &merged));
        assert_int_equal(merged.entry_count, 1);
        clattn_record_free(&merged);
    }
    free(device_text);
    remove_all(path);
    free(path);
    clattn_record_free(&record);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    clattn_record record = sample();
    char *path = clattn_record_path(folder, &record.device);
    assert_int_equal(clattn_record_merge(folder, &record, NULL, NULL), CLATTN_OK);
    char *before = read_file(path);
    struct rlimit old, small = { .rlim_cur = 100 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    record.entries[0].points = 3;
    const clattn_status status = clattn_record_merge(folder, &record, NULL, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, CLATTN_IO_ERROR);
    assert_non_null(strstr(clattn_last_error(), path));
    assert_non_null(strstr(clattn_last_error(), "File too large"));
    char *after = read_file(path);
    assert_string_equal(before, after);
    free(before);
    free(after);
    remove_all(path);
    free(path);
    clattn_record_free(&record);
}

static void folders_that_cannot_be_written_are_errors(void **state)
{
    (void)state;
    clattn_record record = sample();
    char file[64], under[80];
    snprintf(file, sizeof(file), "%s/file", folder);
    snprintf(under, sizeof(under), "%s/folder", file);
    assert_int_equal(clattn_file_write_atomic(file, "", 0), 0);
    assert_int_equal(clattn_record_merge(under, &record, NULL, NULL), CLATTN_IO_ERROR);
    assert_non_null(strstr(clattn_last_error(), under));
    assert_non_null(strstr(clattn_last_error(), "File exists"));
    assert_int_equal(unlink(file), 0);
    char *path = clattn_record_path(folder, &record.device);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(clattn_record_merge(folder, &record, NULL, NULL), CLATTN_IO_ERROR);
    assert_non_null(strstr(clattn_last_error(), "directory"));
    assert_int_equal(rmdir(path), 0);
    remove_all(path);
    if (geteuid() != 0) {
        assert_int_equal(chmod(folder, 0500), 0);
        assert_int_equal(clattn_record_merge(folder, &record, NULL, NULL), CLATTN_IO_ERROR);
        assert_non_null(strstr(clattn_last_error(), "Permission denied"));
        assert_int_equal(chmod(folder, 0700), 0);
    }
    free(path);
    clattn_record_free(&record);
}

/* Writers that meet: each merges classes of its own, one by one. */

#define WRITERS 2 /* processes, and as many threads */
#define CLASSES 8 /* a writer's: head dims 64 to 512 */

static int write_classes(const char *to, int writer)
{
    refusals heard;
    clattn_record record;
    int failed = !parse(RECORD, &heard, &record);
    for (int i = 0; i < CLASSES && !failed; i++) {
        record.entries[0].class.values[3] = 64 * (i + 1);
        record.entries[0].class.values[4] = 64 * (writer + 1);
        failed = clattn_record_merge(to, &record, NULL, NULL) != CLATTN_OK;
    }
    clattn_record_free(&record);
    return failed;
}

static void *thread_writes(void *writer)
{
    return write_classes(folder, *(int *)writer) ? writer : NULL;
}

static pid_t start_writer(int writer)
{
    extern char **environ;
    char number[16];
    pid_t child = 0;
    snprintf(number, sizeof(number), "%d", writer);
    char *arguments[] = { (char *)program, folder, number, NULL };
    assert_int_equal(posix_spawn(&child, program, NULL, NULL, arguments, environ), 0);
    return child;
}

static void writers_that_meet_lose_nothing(void **state)
{
    (void)state;
    clattn_record record = sample(), merged;
    refusals heard = { 0 };
    pid_t children[WRITERS];
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        children[i] = start_writer(i);
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = WRITERS + i;
        assert_int_equal(pthread_create(&threads[i], NULL, thread_writes, &numbers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        void *failed = NULL;
        int status = 0;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    char *path = clattn_record_path(folder, &record.device);
    assert_true(clattn_record_read(path, hear, &heard, &merged));
    assert_int_equal(heard.count, 0);
    assert_int_equal(merged.entry_count, 2 * WRITERS * CLASSES);
    clattn_record_free(&merged);
    clattn_record_free(&record);
    remove_all(path);
    free(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_sound_record),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(entries_are_lines_in_the_order_of_classes),
        cmocka_unit_test(refuses_files),
        cmocka_unit_test(refuses_entries),
        cmocka_unit_test(refuses_faults),
        cmocka_unit_test(finds_lines_of_any_layout),
        cmocka_unit_test(the_last_of_a_class_counts),
        cmocka_unit_test(survives_garbage),
        cmocka_unit_test(paths_name_the_device),
        cmocka_unit_test(merges_by_class),
        cmocka_unit_test(makes_its_folder),
        cmocka_unit_test(keeps_what_is_no_record),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(folders_that_cannot_be_written_are_errors),
        cmocka_unit_test(writers_that_meet_lose_nothing),
    };
    program = argv[0];
    if (argc == 3) /* a child that start_writer() made */
        return write_classes(argv[1], atoi(argv[2]));
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
