/* SPDX-License-Identifier: BSD-2-Clause */
/* src/util: status, types, text, hash, files. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <CL/cl.h>
#include <clattn/types.h>
#include <clattn/version.h>

#include "util/file.h"
#include "util/hash.h"
#include "util/status.h"
#include "util/text.h"

static char folder[] = "/tmp/clattn-test-util-XXXXXX";

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

static void names_every_status(void **state)
{
    (void)state;
    assert_string_equal(clattn_status_name(CLATTN_OK), "CLATTN_OK");
    for (int status = CLATTN_OK; status >= CLATTN_CANCELLED; status--)
        assert_string_not_equal(clattn_status_name((clattn_status)status), "unknown status");
    assert_string_equal(clattn_status_name((clattn_status)(CLATTN_CANCELLED - 1)), "unknown status");
    assert_string_equal(clattn_status_name((clattn_status)1), "unknown status");
}

static void maps_opencl_errors(void **state)
{
    (void)state;
    assert_int_equal(clattn_fail_cl("clFinish", CL_OUT_OF_HOST_MEMORY), CLATTN_OUT_OF_MEMORY);
    assert_int_equal(clattn_fail_cl("clFinish", CL_MEM_OBJECT_ALLOCATION_FAILURE), CLATTN_OUT_OF_MEMORY);
    assert_int_equal(clattn_fail_cl("clFinish", CL_INVALID_EVENT), CLATTN_OPENCL_ERROR);
    assert_string_equal(clattn_last_error(), "clFinish failed with CL_INVALID_EVENT (-58)");
    assert_string_equal(clattn_cl_error_name(-9999), "unknown OpenCL error");
}

static void *other_thread(void *before)
{
    strcpy(before, clattn_last_error());
    clattn_fail(CLATTN_IO_ERROR, "of the other thread");
    return NULL;
}

static void keeps_last_error_per_thread(void **state)
{
    (void)state;
    char seen[1024] = "nothing written";
    pthread_t thread;
    assert_int_equal(clattn_fail(CLATTN_UNSUPPORTED, "of thread %d", 1), CLATTN_UNSUPPORTED);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
    pthread_join(thread, NULL);
    assert_string_equal(seen, "");
    assert_string_equal(clattn_last_error(), "of thread 1");
    clattn_fail(CLATTN_UNSUPPORTED, "more: %s", clattn_last_error());
    assert_string_equal(clattn_last_error(), "more: of thread 1");
}

static void gives_the_headers_version(void **state)
{
    (void)state;
    char expected[32];
    snprintf(expected, sizeof(expected), "%d.%d.%d", CLATTN_VERSION_MAJOR, CLATTN_VERSION_MINOR, CLATTN_VERSION_PATCH);
    assert_string_equal(clattn_version(), expected);
}

static void knows_every_dtype(void **state)
{
    (void)state;
    static const size_t sizes[CLATTN_DTYPE_COUNT] = { 4, 2, 2, 1, 34, 18 };
    for (int dtype = 0; dtype < CLATTN_DTYPE_COUNT; dtype++) {
        assert_non_null(clattn_dtype_name((clattn_dtype)dtype));
        assert_int_equal(clattn_dtype_size((clattn_dtype)dtype), sizes[dtype]);
        assert_int_equal(clattn_dtype_block_len((clattn_dtype)dtype), dtype < CLATTN_Q8_0 ? 1 : 32);
        assert_true(clattn_dtype_size((clattn_dtype)dtype) % clattn_dtype_alignment((clattn_dtype)dtype) == 0);
    }
    assert_null(clattn_dtype_name((clattn_dtype)CLATTN_DTYPE_COUNT));
    assert_null(clattn_dtype_name((clattn_dtype)-1));
    assert_int_equal(clattn_dtype_size((clattn_dtype)CLATTN_DTYPE_COUNT), 0);
}

static void text_grows(void **state)
{
    (void)state;
    clattn_text text = { 0 };
    assert_string_equal(clattn_text_get(&text), "");
    for (int i = 0; i < 1000; i++)
        clattn_text_add(&text, "%03d", i);
    assert_int_equal(text.size, 3000);
    assert_memory_equal(clattn_text_get(&text) + 2997, "999", 4);
    clattn_text_free(&text);
    clattn_text_add_item(&text, ", ", "a");
    clattn_text_add_item(&text, ", ", "b");
    char *taken = clattn_text_take(&text);
    assert_string_equal(taken, "a, b");
    free(taken);
    taken = clattn_text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    char line[] = "a\nb\tc\x7f";
    clattn_text_to_line(line);
    assert_string_equal(line, "a b c ");
    char sound[] = "\xc2\xae \xe0\xa0\x80\xed\x9f\xbf \xf0\x90\x80\x80\xf4\x8f\xbf\xbf", same[sizeof(sound)];
    memcpy(same, sound, sizeof(sound));
    clattn_text_to_line(sound);
    assert_string_equal(sound, same);
    char broken[] = "\xae|\xc0\x80|\xe0\x9f\xbf|\xed\xa0\x80|\xf0\x8f\xbf\xbf|\xf4\x90\x80\x80|\xf5|\xe2\x82";
    clattn_text_to_line(broken);
    assert_string_equal(broken, "?|??|???|???|????|????|?|??");
}

static void tuning_path_has_its_own_order(void **state)
{
    (void)state;
    const struct {
        const char *given, *variable, *xdg, *home, *ignoring, *right;
    } table[] = {
        { "a:b", "v", "/x", "/h", "a:b", "a:b" },
        { "", "v", "/x", "/h", "", "" },
        { NULL, "v:w", "/x", "/h", "/share", "v:w" },
        { NULL, "", "/x", "/h", "/share", "/x/clattn/tuning:/share" },
        { NULL, NULL, "relative", "/h", "/share", "/h/.local/share/clattn/tuning:/share" },
        { NULL, NULL, NULL, NULL, "/share", "/share" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *const pairs[3][2] = { { "CLATTN_TUNING_PATH", table[i].variable },
                                          { "XDG_DATA_HOME", table[i].xdg },
                                          { "HOME", table[i].home } };
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(pairs[j][1] ? setenv(pairs[j][0], pairs[j][1], 1) : unsetenv(pairs[j][0]), 0);
        char *path = clattn_path_tuning(table[i].given, false, "/share");
        assert_string_equal(path, table[i].right);
        free(path);
        path = clattn_path_tuning(table[i].given, true, "/share");
        assert_string_equal(path, table[i].ignoring);
        free(path);
    }
}

static void keys_depend_on_content_and_cuts(void **state)
{
    (void)state;
    clattn_key a = { 0 }, b = { 0 }, c = { 0 };
    clattn_key_add_text(&a, "ab");
    clattn_key_add_text(&a, "c");
    clattn_key_add_text(&b, "a");
    clattn_key_add_text(&b, "bc");
    clattn_key_add(&c, "ab", 2);
    clattn_key_add(&c, "c", 1);
    assert_false(clattn_key_equal(a, b));
    assert_true(clattn_key_equal(a, c));
    char hex[CLATTN_KEY_HEX_SIZE];
    clattn_key_hex((clattn_key){ .low = 1, .high = 0xabc }, hex);
    assert_string_equal(hex, "0000000000000abc0000000000000001");
}

static void writes_and_reads_files(void **state)
{
    (void)state;
    char *deep = clattn_path_join(folder, "a/b");
    char *path = clattn_path_join(deep, "file");
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(clattn_file_write_atomic(path, "x", 1), ENOENT);
    assert_int_equal(clattn_file_make_folders(deep), 0);
    assert_int_equal(clattn_file_make_folders(deep), 0);
    assert_true(clattn_file_is_folder(deep));
    assert_int_equal(clattn_file_write_atomic(path, "first", 5), 0);
    assert_int_equal(clattn_file_write_atomic(path, "two\0x", 5), 0);
    assert_int_equal(clattn_file_read(path, 5, &data, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "two\0x", 6);
    free(data);
    assert_int_equal(clattn_file_read(path, 4, &data, &size), EFBIG);
    assert_int_equal(clattn_file_read(deep, 4, &data, &size), EISDIR);
    assert_int_equal(clattn_file_make_folders(path), EEXIST);
    assert_int_equal(clattn_file_make_folders(""), ENOENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(clattn_file_read(path, 4, &data, &size), ENOENT);
    /* A folder in the file's place: the rename fails, and no temporary file stays (rmdir would fail). */
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(clattn_file_write_atomic(path, "x", 1), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(deep), 0);
    char *upper = clattn_path_join(folder, "a");
    assert_int_equal(rmdir(upper), 0);
    free(upper);
    free(path);
    free(deep);
}

static void expect_cache(const char *given, bool ignore_environment, const char *expected)
{
    char *path = NULL;
    assert_int_equal(clattn_path_cache(given, ignore_environment, &path), 0);
    assert_string_equal(path, expected);
    free(path);
}

static void finds_the_cache_folder(void **state)
{
    (void)state;
    char *path = NULL;
    setenv("CLATTN_CACHE_DIR", "/c", 1);
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    expect_cache("/given", false, "/given");
    expect_cache(NULL, false, "/c");
    expect_cache(NULL, true, "/h/.cache/clattn");
    setenv("CLATTN_CACHE_DIR", "", 1);
    expect_cache(NULL, false, "/x/clattn");
    setenv("XDG_CACHE_HOME", "relative", 1);
    expect_cache(NULL, false, "/h/.cache/clattn");
    unsetenv("HOME");
    assert_int_equal(clattn_path_cache(NULL, false, &path), ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_status),
        cmocka_unit_test(maps_opencl_errors),
        cmocka_unit_test(keeps_last_error_per_thread),
        cmocka_unit_test(gives_the_headers_version),
        cmocka_unit_test(knows_every_dtype),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(keys_depend_on_content_and_cuts),
        cmocka_unit_test(writes_and_reads_files),
        cmocka_unit_test(finds_the_cache_folder),
        cmocka_unit_test(tuning_path_has_its_own_order),
    };
    return cmocka_run_group_tests_name("util", tests, make_folder, remove_folder);
}
