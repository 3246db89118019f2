/* SPDX-License-Identifier: BSD-2-Clause */
/* Which record serves a device and a class, on devices that are only described. */
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

#include "device/internal.h"
#include "kernel/sources.h"
#include "plan/records.h"
#include "util/file.h"
#include "util/text.h"

#define MAX_LOG 64

static char folder[] = "/tmp/clattn-test-records-XXXXXX", first[64], second[64];
static char *written[16];
static int written_count;
static char logged[MAX_LOG][512];
static int log_count;

static void keep_log(void *user, clattn_log_level level, const char *message)
{
    (void)user;
    (void)level;
    assert_true(log_count < MAX_LOG);
    snprintf(logged[log_count++], sizeof(logged[0]), "%s", message);
}

static bool was_logged(const char *part)
{
    for (int i = 0; i < log_count; i++)
        if (strstr(logged[i], part))
            return true;
    return false;
}

static int make_folders(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(first, sizeof(first), "%s/first", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    return mkdir(first, 0700) || mkdir(second, 0700);
}

static int remove_folders(void **state)
{
    (void)state;
    return rmdir(first) || rmdir(second) || rmdir(folder);
}

static int remove_records(void **state)
{
    (void)state;
    for (; written_count > 0; free(written[written_count]))
        unlink(written[--written_count]);
    log_count = 0;
    return 0;
}

/* An AVX2 machine with PoCL. */
static const clattn_device_info cpu = { .platform_name = "PoCL",
                                        .device_name = "Xeon",
                                        .vendor = "GenuineIntel",
                                        .driver_version = "3.1",
                                        .type = "cpu",
                                        .architecture = "x86-64-v3",
                                        .compute_units = 4,
                                        .native_vector_width_float = 8,
                                        .local_mem_size = 65536,
                                        .global_mem_cache_size = 1 << 20,
                                        .max_work_group_size = 4096 };

static const clattn_device_info gpu = { .platform_name = "NVIDIA CUDA",
                                        .device_name = "H100",
                                        .vendor = "NVIDIA Corporation",
                                        .driver_version = "580",
                                        .type = "gpu",
                                        .architecture = "sm_90",
                                        .compute_units = 132,
                                        .native_vector_width_float = 1,
                                        .local_mem_size = 49152,
                                        .global_mem_cache_size = 1 << 22,
                                        .max_work_group_size = 1024 };

static clattn_device *fake_device(const clattn_device_info *info, const char *tuning_path)
{
    clattn_device *device = calloc(1, sizeof(*device));
    assert_non_null(device);
    assert_int_equal(pthread_mutex_init(&device->lock, NULL), 0);
    assert_int_equal(pthread_mutex_init(&device->log_lock, NULL), 0);
    device->references = 1;
    device->probe.info = *info;
    device->probe.isa = clattn_text_copy("0123");
    device->settings.log = keep_log;
    device->settings.log_level = CLATTN_LOG_DEBUG;
    device->settings.tuning_path = device->tuning_path = clattn_text_copy(tuning_path);
    return device;
}

static clattn_device *fake_cpu(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s:%s/missing::%s", first, folder, second);
    return fake_device(&cpu, path);
}

static clattn_tuning_class class_of(clattn_dtype dtype, int32_t dim)
{
    const clattn_problem problem = {
        .desc = { .q_dtype = dtype, .k_dtype = dtype, .v_dtype = dtype, .head_dim = dim, .v_head_dim = dim }
    };
    return clattn_class_of_problem(&problem, CLATTN_ALGORITHM_DECODE, CLATTN_FRAGMENT_SCALAR);
}

static const clattn_tile_problem dims = { .head_dim = 128, .v_head_dim = 128 };

/* An entry as that device would have it, had it been tuned: tile number `point` of those that fit. */
static clattn_record_entry entry_of(clattn_device *device, clattn_tuning_class class, size_t point)
{
    clattn_record_entry entry = { .class = class,
                                  .split_size = 256,
                                  .driver = (char *)clattn_device_probed(device)->driver_version,
                                  .library = "0.1.0",
                                  .date = "2026-01-01",
                                  .seconds = 1.0,
                                  .default_seconds = 2.0,
                                  .points = 2 };
    char why[160];
    assert_int_equal(clattn_records_kernels(device, class.algorithm, class.fragment, &entry.kernels), CLATTN_OK);
    for (size_t i = 0; i < clattn_space_size(class.algorithm, class.fragment); i++) {
        clattn_space_point(class.algorithm, class.fragment, i, &entry.tile);
        const bool fits = clattn_tile_in_space(&entry.tile, why, sizeof(why)) &&
                          clattn_tile_fits(&entry.tile, &dims, &cpu, why, sizeof(why)) &&
                          clattn_tile_fits(&entry.tile, &dims, &gpu, why, sizeof(why));
        if (fits && point-- == 0)
            return entry;
    }
    fail_msg("the space has too few tiles that fit");
    return entry;
}

/* Writes the entry, which goes, into the file of that device. */
static void put(const char *to, clattn_record_device device, clattn_record_entry entry)
{
    const clattn_record record = { .device = device, .entries = &entry, .entry_count = 1 };
    char *path = clattn_record_path(to, &device);
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s.lock", path);
    assert_int_equal(clattn_record_merge(to, &record, NULL, NULL), CLATTN_OK);
    written[written_count++] = path;
    written[written_count++] = clattn_text_take(&text);
    free(entry.kernels);
}

static void put_text(const char *name, const char *text)
{
    char *path = clattn_path_join(first, name);
    assert_int_equal(clattn_file_write_atomic(path, text, strlen(text)), 0);
    written[written_count++] = path;
}

static void check_choice(clattn_device *device, clattn_tuning_class wanted, clattn_tuning_level level,
                         const clattn_tile *tile)
{
    clattn_tuning_choice choice = { .level = CLATTN_TUNING_DEFAULT };
    const bool found = clattn_records_choose(device, &wanted, &dims, &choice);
    assert_int_equal(found, level != CLATTN_TUNING_DEFAULT);
    assert_string_equal(clattn_tuning_level_name(choice.level), clattn_tuning_level_name(level));
    if (!found)
        return;
    assert_true(clattn_tile_equal(&choice.tile, tile));
    assert_int_equal(choice.split_size, 256);
    assert_int_equal(strncmp(choice.path, folder, strlen(folder)), 0);
    assert_true(choice.line > 0);
}

static void levels_are_named(void **state)
{
    (void)state;
    static const char *const names[] = { "exact", "device", "architecture", "vendor", "type", "default" };
    assert_int_equal(CLATTN_TUNING_LEVEL_COUNT, 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(clattn_tuning_level_name((clattn_tuning_level)i), names[i]);
}

/* What the tuned device has other than the asking one, and the level that is left. */
typedef struct change {
    clattn_tuning_level level;
    const char *platform, *name, *vendor, *type, *architecture, *isa, *driver, *kernels;
    int64_t units, width;
    clattn_dtype dtype;
} change;

static clattn_record_device other_device(const clattn_device *device, const change *c)
{
    clattn_record_device other = clattn_records_device(device);
    other.platform = c->platform ? (char *)c->platform : other.platform;
    other.name = c->name ? (char *)c->name : other.name;
    other.vendor = c->vendor ? (char *)c->vendor : other.vendor;
    other.type = c->type ? (char *)c->type : other.type;
    other.architecture = c->architecture ? (char *)c->architecture : other.architecture;
    other.isa = c->isa ? (char *)c->isa : other.isa;
    other.compute_units = c->units ? c->units : other.compute_units;
    other.vector_width = c->width ? c->width : other.vector_width;
    return other;
}

static void check_change(const clattn_device_info *info, const change *c)
{
    clattn_device *device = fake_device(info, first);
    clattn_record_entry entry = entry_of(device, class_of(c->dtype, 128), 3);
    const clattn_tile tile = entry.tile;
    entry.driver = c->driver ? (char *)c->driver : entry.driver;
    if (c->kernels) {
        free(entry.kernels);
        entry.kernels = clattn_text_copy(c->kernels);
    }
    put(first, other_device(device, c), entry);
    check_choice(device, class_of(CLATTN_F32, 128), c->level, &tile);
    const clattn_tuning_level whole = clattn_records_level(device);
    assert_int_equal(whole, c->dtype && c->level == CLATTN_TUNING_DEVICE ? CLATTN_TUNING_EXACT : c->level);
    clattn_device_release(device);
    remove_records(NULL);
}

static void levels_follow_from_what_is_the_same(void **state)
{
    (void)state;
    static const change on_cpu[] = {
        { .level = CLATTN_TUNING_EXACT },
        { .level = CLATTN_TUNING_DEVICE, .driver = "3.2" },
        { .level = CLATTN_TUNING_DEVICE, .kernels = "ffff" },
        { .level = CLATTN_TUNING_DEVICE, .dtype = CLATTN_F16 },
        { .level = CLATTN_TUNING_ARCHITECTURE, .units = 64 },
        { .level = CLATTN_TUNING_ARCHITECTURE, .isa = "4567" },
        { .level = CLATTN_TUNING_ARCHITECTURE, .name = "EPYC", .vendor = "AuthenticAMD" },
        { .level = CLATTN_TUNING_ARCHITECTURE, .platform = "Intel(R) OpenCL" },
        { .level = CLATTN_TUNING_VENDOR, .architecture = "x86-64" },
        { .level = CLATTN_TUNING_TYPE, .architecture = "x86-64", .vendor = "AuthenticAMD" },
        { .level = CLATTN_TUNING_DEFAULT, .architecture = "x86-64-v4", .width = 16 },
        { .level = CLATTN_TUNING_DEFAULT, .width = 16 },
        { .level = CLATTN_TUNING_DEFAULT, .type = "gpu", .architecture = "gfx90a", .vendor = "AMD" },
    };
    static const change on_gpu[] = {
        { .level = CLATTN_TUNING_EXACT },
        { .level = CLATTN_TUNING_ARCHITECTURE, .name = "H200" },
        { .level = CLATTN_TUNING_VENDOR, .name = "A100", .architecture = "sm_80" },
        { .level = CLATTN_TUNING_DEFAULT, .name = "MI300", .architecture = "gfx942", .vendor = "AMD" },
    };
    for (size_t i = 0; i < sizeof(on_cpu) / sizeof(on_cpu[0]); i++)
        check_change(&cpu, &on_cpu[i]);
    for (size_t i = 0; i < sizeof(on_gpu) / sizeof(on_gpu[0]); i++)
        check_change(&gpu, &on_gpu[i]);
}

static void unknown_architectures_are_not_the_same(void **state)
{
    (void)state;
    clattn_device_info info = gpu;
    info.architecture = "";
    const change c = { .level = CLATTN_TUNING_VENDOR, .name = "A100" };
    check_change(&info, &c);
}

static void quantised_entries_do_not_serve_floats(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_record_entry entry = entry_of(device, class_of(CLATTN_F32, 128), 0);
    entry.class.values[1] = CLATTN_Q8_0;
    put(first, clattn_records_device(device), entry);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_DEFAULT, NULL);
    clattn_device_release(device);
}

static void the_nearest_class_comes_first_then_the_latest_date(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_record_device own = clattn_records_device(device), other = own;
    clattn_record_entry far = entry_of(device, class_of(CLATTN_F32, 256), 0);
    clattn_record_entry near = entry_of(device, class_of(CLATTN_F32, 160), 1);
    const clattn_tile near_tile = near.tile;
    far.date = "2026-09-09";
    put(first, own, far);
    put(first, own, near);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_DEVICE, &near_tile);

    /* Two other machines of the architecture, and a later one of another platform. */
    clattn_record_entry old = entry_of(device, class_of(CLATTN_F32, 64), 2);
    clattn_record_entry late = entry_of(device, class_of(CLATTN_F32, 64), 3);
    clattn_record_entry foreign = entry_of(device, class_of(CLATTN_F32, 64), 4);
    const clattn_tile late_tile = late.tile;
    late.date = "2026-02-01";
    foreign.date = "2026-03-01";
    clattn_device_info elsewhere_info = cpu;
    elsewhere_info.compute_units = 99;
    other.compute_units = 5;
    put(second, other, old);
    other.compute_units = 6;
    put(second, other, late);
    other.platform = "Intel(R) OpenCL";
    put(second, other, foreign);
    clattn_device *elsewhere = fake_device(&elsewhere_info, second);
    check_choice(elsewhere, class_of(CLATTN_F32, 64), CLATTN_TUNING_ARCHITECTURE, &late_tile);
    clattn_device_release(elsewhere);
    clattn_device_release(device);
}

static void tiles_that_do_not_fit_are_passed_over(void **state)
{
    (void)state;
    clattn_device_info small_info = cpu;
    small_info.max_work_group_size = 1;
    clattn_device *device = fake_device(&small_info, first);
    clattn_record_device other = clattn_records_device(device);
    clattn_record_entry small = entry_of(device, class_of(CLATTN_F32, 128), 0);
    clattn_record_entry large = entry_of(device, class_of(CLATTN_F32, 128), 0);
    large.tile.parameters[CLATTN_SCALAR_TX] = 8;
    large.tile.parameters[CLATTN_SCALAR_TY] = 8;
    const clattn_tile small_tile = small.tile;
    put(first, other, large);
    other.compute_units++;
    put(first, other, small);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_ARCHITECTURE, &small_tile);
    assert_true(was_logged("does not serve"));
    clattn_device_release(device);
}

static void bad_files_are_log_lines(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_record_entry entry = entry_of(device, class_of(CLATTN_F32, 128), 0);
    const clattn_tile tile = entry.tile;
    put_text("a-garbage.json", "\x01\x02 garbage");
    put_text("b-later.json", "{\"schema\": 7}");
    put_text("not-a-record.txt", "never read");
    put(first, clattn_records_device(device), entry);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_EXACT, &tile);
    assert_true(was_logged("/a-garbage.json:1 is not used: it is no JSON"));
    assert_true(was_logged("/b-later.json is not used: schema is 7; this version reads 1"));
    assert_true(was_logged("there is no folder"));
    assert_false(was_logged("not-a-record"));
    const int count = log_count;
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_EXACT, &tile);
    assert_int_equal(log_count, count);
    clattn_device_release(device);
}

static void a_reload_reads_again(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_record_entry entry = entry_of(device, class_of(CLATTN_F32, 128), 0);
    const clattn_tile tile = entry.tile;
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_DEFAULT, NULL);
    put(first, clattn_records_device(device), entry);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_DEFAULT, NULL);
    clattn_records_reload(device);
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_EXACT, &tile);
    clattn_device_release(device);
}

static void no_path_means_no_records(void **state)
{
    (void)state;
    clattn_device *device = fake_device(&cpu, "");
    check_choice(device, class_of(CLATTN_F32, 128), CLATTN_TUNING_DEFAULT, NULL);
    char *none = NULL;
    assert_int_equal(clattn_records_folder(device, 0, &none), CLATTN_OK);
    assert_null(none);
    clattn_device_release(device);
}

static void folders_are_told_apart(void **state)
{
    (void)state;
    static const char *const right[] = { "/a", "b c", "/d" };
    clattn_device *device = fake_device(&cpu, ":/a::b c:/d:");
    for (int i = 0; i < 4; i++) {
        char *one = NULL;
        assert_int_equal(clattn_records_folder(device, i, &one), CLATTN_OK);
        if (i < 3)
            assert_string_equal(one, right[i]);
        else
            assert_null(one);
        free(one);
    }
    clattn_device_release(device);
}

static void the_own_record_is_this_devices(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_record_device own = clattn_records_device(device), other = own;
    clattn_record record;
    assert_int_equal(clattn_records_own(device, first, &record), CLATTN_OK);
    assert_true(clattn_record_same_device(&record.device, &own));
    assert_int_equal(record.entry_count, 0);
    clattn_record_free(&record);
    other.compute_units++;
    put(first, own, entry_of(device, class_of(CLATTN_F32, 128), 0));
    put(first, other, entry_of(device, class_of(CLATTN_F32, 64), 0));
    assert_int_equal(clattn_records_own(device, first, &record), CLATTN_OK);
    assert_int_equal(record.entry_count, 1);
    clattn_record_free(&record);
    assert_int_equal(log_count, 0);
    assert_int_equal(clattn_file_write_atomic(written[0], "?", 1), 0);
    assert_int_equal(clattn_records_own(device, first, &record), CLATTN_OK);
    assert_int_equal(record.entry_count, 0);
    assert_true(was_logged("no JSON"));
    clattn_record_free(&record);
    clattn_device_release(device);
}

static void kernels_have_their_own_versions(void **state)
{
    (void)state;
    clattn_device *device = fake_cpu();
    clattn_kernel_versions versions = { { NULL } };
    char *seen[CLATTN_ALGORITHM_COUNT * CLATTN_FRAGMENT_COUNT];
    size_t count = 0;
    for (int i = 0; i < CLATTN_ALGORITHM_COUNT; i++) {
        for (int j = 0; j < CLATTN_FRAGMENT_COUNT; j++) {
            const clattn_algorithm algorithm = (clattn_algorithm)i;
            const clattn_fragment_id fragment = (clattn_fragment_id)j;
            if (clattn_space_size(algorithm, fragment) == 0)
                continue;
            assert_int_equal(clattn_records_kernels(device, algorithm, fragment, &versions[i][j]), CLATTN_OK);
            for (size_t k = 0; k < count; k++)
                assert_string_not_equal(versions[i][j], seen[k]);
            seen[count++] = versions[i][j];
        }
    }
    clattn_kernel_versions_free(versions);
    clattn_device_release(device);
}

static clattn_key version_of(const char *own, const char *shared, const char *other)
{
    const char *names[] = { "frag_own.clh", "frag_own_shared.clh", "shared.clh" };
    const char *texts[] = { own, other, shared };
    const clattn_sources sources = { .name = "x.cl",
                                     .main_text = "#include \"frag_own.clh\"\n#include \"frag_own_shared.clh\"\n",
                                     .header_names = names,
                                     .header_texts = texts,
                                     .header_count = 3 };
    clattn_key key = { 0 };
    assert_true(clattn_sources_add_included_to_key(&sources, "frag_own", &key));
    return key;
}

static void other_fragments_leave_a_version(void **state)
{
    (void)state;
    const char own[] = "#include \"shared.clh\"\n";
    const clattn_key version = version_of(own, "int i;", "int j;");
    const clattn_key other = version_of(own, "int i;", "float j;");
    const clattn_key shared = version_of(own, "float i;", "int j;");
    const clattn_key changed = version_of("#include \"shared.clh\"\nint k;\n", "int i;", "int j;");
    assert_memory_equal(&version, &other, sizeof(version));
    assert_memory_not_equal(&version, &shared, sizeof(version));
    assert_memory_not_equal(&version, &changed, sizeof(version));
}

static void *choose_often(void *device)
{
    clattn_tuning_choice choice;
    const clattn_tuning_class wanted = class_of(CLATTN_F32, 128);
    bool right = true;
    for (int i = 0; i < 100; i++)
        right = right && clattn_records_choose(device, &wanted, &dims, &choice) && choice.level == CLATTN_TUNING_EXACT;
    return right ? device : NULL;
}

static void threads_read_the_folders_once(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    clattn_device *device = fake_cpu();
    pthread_t threads[THREADS];
    put(first, clattn_records_device(device), entry_of(device, class_of(CLATTN_F32, 128), 0));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, choose_often, device), 0);
    for (int i = 0; i < THREADS; i++) {
        void *right = NULL;
        assert_int_equal(pthread_join(threads[i], &right), 0);
        assert_non_null(right);
    }
    assert_int_equal(log_count, 1); /* the missing folder */
    clattn_device_release(device);
}

static void x86_levels_follow_from_flags(void **state)
{
    (void)state;
    static const char v4[] = "flags\t\t: fpu avx2 fma avx512f avx512dq avx512cd avx512bw avx512vl\n";
    assert_string_equal(clattn_x86_level(v4), "x86-64-v4");
    assert_string_equal(clattn_x86_level("flags : fma avx2\n"), "x86-64-v3");
    assert_string_equal(clattn_x86_level("flags : fma4 avx2\n"), "x86-64");
    assert_string_equal(clattn_x86_level(""), "x86-64");
}

/* What the repository ships has to be sound. */
static void shipped_records_are_sound(void **state)
{
    (void)state;
    clattn_device *device = fake_device(&cpu, SHIPPED_RECORDS);
    clattn_records_level(device);
    assert_int_equal(log_count, 0);
    clattn_device_release(device);
}

#define TEST(name) cmocka_unit_test_teardown(name, remove_records)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(levels_are_named),
        TEST(levels_follow_from_what_is_the_same),
        TEST(unknown_architectures_are_not_the_same),
        TEST(quantised_entries_do_not_serve_floats),
        TEST(the_nearest_class_comes_first_then_the_latest_date),
        TEST(tiles_that_do_not_fit_are_passed_over),
        TEST(bad_files_are_log_lines),
        TEST(a_reload_reads_again),
        TEST(no_path_means_no_records),
        TEST(folders_are_told_apart),
        TEST(the_own_record_is_this_devices),
        TEST(kernels_have_their_own_versions),
        TEST(other_fragments_leave_a_version),
        TEST(threads_read_the_folders_once),
        TEST(x86_levels_follow_from_flags),
        TEST(shipped_records_are_sound),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
