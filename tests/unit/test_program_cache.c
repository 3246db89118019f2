/* SPDX-License-Identifier: BSD-2-Clause */
/* The program cache without a device: the format of an entry, the folder, and the public functions over it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <clattn/program_cache.h>

#include "kernel/store.h"
#include "util/file.h"

#define NAME_1 "00000000000000000000000000000001.clprog"

static char folder[] = "/tmp/clattn-test-cache-XXXXXX";

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

static int clear(void **state)
{
    (void)state;
    return clattn_program_cache_clear(folder, NULL, NULL) == CLATTN_OK ? 0 : -1;
}

static clattn_entry entry_of(uint64_t key, size_t size)
{
    static const char binary[4096] = "machine code";
    return (clattn_entry){ .key = { .low = key },
                           .device = "dev",
                           .program = "prog",
                           .device_size = 3,
                           .program_size = 4,
                           .binary = binary,
                           .binary_size = size };
}

static void put_file(const char *name, const void *data, size_t size, int age_s)
{
    char *path = clattn_path_join(folder, name);
    assert_int_equal(clattn_file_write_atomic(path, data, size), 0);
    struct timespec times[2] = { { .tv_sec = time(NULL) - age_s }, { .tv_sec = time(NULL) - age_s } };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
}

static bool has_file(const char *name)
{
    char *path = clattn_path_join(folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void entry_round_trip(void **state)
{
    (void)state;
    clattn_entry in = entry_of(7, 100), out;
    size_t size = clattn_entry_size(&in);
    char bytes[512];
    assert_int_equal(size, CLATTN_ENTRY_HEADER_SIZE + 3 + 4 + 100);
    clattn_entry_encode(&in, bytes);
    assert_null(clattn_entry_decode(bytes, size, &out));
    assert_true(clattn_key_equal(in.key, out.key));
    assert_int_equal(out.device_size, 3);
    assert_memory_equal(out.device, "dev", 3);
    assert_memory_equal(out.program, "prog", 4);
    assert_int_equal(out.binary_size, 100);
    assert_memory_equal(out.binary, in.binary, 100);
    in.binary_size = 0;
    assert_int_equal(clattn_entry_size(&in), 0);
    in.binary_size = CLATTN_ENTRY_MAX_SIZE;
    assert_int_equal(clattn_entry_size(&in), 0);
    in = entry_of(7, 100);
    in.program_size = CLATTN_ENTRY_MAX_TEXT + 1;
    assert_int_equal(clattn_entry_size(&in), 0);
}

static void every_damaged_byte_is_seen(void **state)
{
    (void)state;
    clattn_entry in = entry_of(7, 20), out;
    char bytes[512];
    size_t size = clattn_entry_size(&in);
    clattn_entry_encode(&in, bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 1;
        assert_non_null(clattn_entry_decode(bytes, size, &out));
        bytes[i] ^= 1;
        assert_non_null(clattn_entry_decode(bytes, i, &out));
    }
    assert_non_null(clattn_entry_decode(bytes, size + 1, &out));
    assert_null(clattn_entry_decode(bytes, size, &out));
}

/* Each file of the fuzzer's corpus but "sound" has its own defect. */
static void corpus_has_one_file_per_defect(void **state)
{
    (void)state;
    const char *seen[32];
    size_t count = 0, sound = 0;
    DIR *corpus = opendir(CACHE_ENTRY_CORPUS);
    assert_non_null(corpus);
    for (struct dirent *item = readdir(corpus); item; item = readdir(corpus)) {
        char *path = clattn_path_join(CACHE_ENTRY_CORPUS, item->d_name), *bytes = NULL;
        size_t size = 0;
        clattn_entry out;
        if (clattn_file_read(path, CLATTN_ENTRY_MAX_SIZE, &bytes, &size) == 0) {
            const char *defect = clattn_entry_decode(bytes, size, &out);
            assert_int_equal(defect == NULL, strcmp(item->d_name, "sound") == 0);
            for (size_t i = 0; defect && i < count; i++)
                assert_ptr_not_equal(seen[i], defect);
            if (defect)
                seen[count++] = defect;
            else
                sound++;
        }
        free(bytes);
        free(path);
    }
    closedir(corpus);
    assert_int_equal(sound, 1);
    assert_int_equal(count, 10);
}

static void store_reads_what_it_wrote(void **state)
{
    (void)state;
    clattn_entry in = entry_of(1, 100), out;
    char *bytes = NULL;
    const char *defect = NULL;
    assert_int_equal(clattn_store_read(folder, in.key, &bytes, &out, &defect), ENOENT);
    assert_int_equal(clattn_store_write(folder, &in, 100), EFBIG);
    assert_int_equal(clattn_store_write(folder, &in, 4096), 0);
    assert_true(has_file(NAME_1));
    assert_int_equal(clattn_store_read(folder, in.key, &bytes, &out, &defect), 0);
    assert_memory_equal(out.binary, in.binary, 100);
    free(bytes);
}

static void a_bad_entry_is_a_miss_and_is_replaced(void **state)
{
    (void)state;
    clattn_entry in = entry_of(1, 100), other = entry_of(2, 100), out;
    char content[512], *bytes = NULL;
    const char *defect = NULL;
    put_file(NAME_1, "nonsense", 8, 0);
    assert_int_equal(clattn_store_read(folder, in.key, &bytes, &out, &defect), EBADMSG);
    assert_non_null(defect);
    clattn_entry_encode(&other, content);
    put_file(NAME_1, content, clattn_entry_size(&other), 0);
    assert_int_equal(clattn_store_read(folder, in.key, &bytes, &out, &defect), EBADMSG);
    assert_non_null(strstr(defect, "key"));
    assert_int_equal(clattn_store_write(folder, &in, 4096), 0);
    assert_int_equal(clattn_store_read(folder, in.key, &bytes, &out, &defect), 0);
    free(bytes);
}

static void age(uint64_t key, int age_s)
{
    clattn_entry entry = entry_of(key, 929); /* 1000 bytes a file */
    char content[1000], name[64];
    assert_int_equal(clattn_entry_size(&entry), sizeof(content));
    clattn_entry_encode(&entry, content);
    snprintf(name, sizeof(name), "%032x.clprog", (unsigned)key);
    put_file(name, content, sizeof(content), age_s);
}

static void the_least_recently_used_go_first(void **state)
{
    (void)state;
    clattn_entry entry = entry_of(1, 929), fourth = entry_of(4, 929), out;
    char *bytes = NULL;
    const char *defect = NULL;
    age(1, 300);
    age(2, 200);
    age(3, 100);
    assert_int_equal(clattn_store_read(folder, entry.key, &bytes, &out, &defect), 0); /* 2 is the oldest now */
    free(bytes);
    assert_int_equal(clattn_store_write(folder, &fourth, 3999), 0);
    assert_true(has_file(NAME_1));
    assert_false(has_file("00000000000000000000000000000002.clprog"));
    assert_true(has_file("00000000000000000000000000000003.clprog"));
    assert_true(has_file("00000000000000000000000000000004.clprog"));
}

static void only_own_files_are_touched(void **state)
{
    (void)state;
    clattn_entry in = entry_of(1, 100);
    uint64_t removed = 1, total = 1;
    put_file("notes.txt", "mine", 4, 9000);
    put_file(NAME_1 ".toolong1", "mine", 4, 9000);
    put_file(NAME_1 ".abc123", "left", 4, 7200);
    put_file(NAME_1 ".def456", "busy", 4, 60);
    assert_int_equal(clattn_store_write(folder, &in, 4096), 0);
    assert_false(has_file(NAME_1 ".abc123"));
    assert_true(has_file(NAME_1 ".def456"));
    assert_int_equal(clattn_program_cache_clear(folder, &removed, &total), CLATTN_OK);
    assert_int_equal(removed, 3);
    assert_int_equal(total, 1 + 4 + clattn_entry_size(&in));
    assert_false(has_file(NAME_1 ".def456"));
    const char *const kept[] = { "notes.txt", NAME_1 ".toolong1" };
    for (size_t i = 0; i < 2; i++) {
        assert_true(has_file(kept[i]));
        char *path = clattn_path_join(folder, kept[i]);
        unlink(path);
        free(path);
    }
}

typedef struct visits {
    int count, bad, stop_after;
    int64_t last;
} visits;

static int visit(void *user, const clattn_program_cache_entry *entry)
{
    visits *seen = user;
    assert_true(seen->count == 0 || entry->last_used <= seen->last);
    assert_string_equal(entry->device, entry->defect ? "" : "dev");
    assert_string_equal(entry->program, entry->defect ? "" : "prog");
    assert_int_equal(strncmp(entry->path, folder, strlen(folder)), 0);
    seen->bad += entry->defect != NULL;
    seen->last = entry->last_used;
    return ++seen->count == seen->stop_after;
}

static void visits_newest_first(void **state)
{
    (void)state;
    visits seen = { 0 }, some = { .stop_after = 2 }, none = { 0 };
    age(5, 50);
    age(6, 5);
    age(7, 500);
    put_file("0000000000000000000000000000000a.clprog", "nonsense", 8, 20);
    assert_int_equal(clattn_program_cache_visit(folder, visit, &seen), CLATTN_OK);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.bad, 1);
    assert_int_equal(clattn_program_cache_visit(folder, visit, &some), CLATTN_OK);
    assert_int_equal(some.count, 2);
    assert_int_equal(clattn_program_cache_visit("/nonexistent/clattn", visit, &none), CLATTN_OK);
    assert_int_equal(none.count, 0);
}

static void refuses_wrong_arguments(void **state)
{
    (void)state;
    char path[4096];
    assert_int_equal(clattn_program_cache_dir("/some", NULL, 5), CLATTN_INVALID_ARGUMENT);
    assert_int_equal(clattn_program_cache_dir("/some", path, 5), CLATTN_INVALID_ARGUMENT);
    assert_int_equal(clattn_program_cache_dir("/some", path, 6), CLATTN_OK);
    assert_string_equal(path, "/some");
    assert_int_equal(clattn_program_cache_visit(folder, NULL, NULL), CLATTN_INVALID_ARGUMENT);
    assert_int_equal(clattn_program_cache_visit("/dev/null", visit, NULL), CLATTN_IO_ERROR);
    unsetenv("CLATTN_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(clattn_program_cache_dir(NULL, path, sizeof(path)), CLATTN_IO_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_round_trip),
        cmocka_unit_test(every_damaged_byte_is_seen),
        cmocka_unit_test(corpus_has_one_file_per_defect),
        cmocka_unit_test_teardown(store_reads_what_it_wrote, clear),
        cmocka_unit_test_teardown(a_bad_entry_is_a_miss_and_is_replaced, clear),
        cmocka_unit_test_teardown(the_least_recently_used_go_first, clear),
        cmocka_unit_test_teardown(only_own_files_are_touched, clear),
        cmocka_unit_test_teardown(visits_newest_first, clear),
        cmocka_unit_test(refuses_wrong_arguments),
    };
    return cmocka_run_group_tests_name("program_cache", tests, make_folder, remove_folder);
}
