/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/records.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/sources.h"
#include "plan/record_internal.h"
#include "util/file.h"
#include "util/status.h"
#include "util/text.h"

#define SUFFIX ".json"

enum {
    NONE = 0,
    SAME_DEVICE = 1,
    SAME_DRIVER = 2,
    SAME_KERNELS = 4,
    SAME_CLASS = 8,
    SAME_ARCHITECTURE = 16,
    SAME_VENDOR = 32,
    SAME_TYPE = 64,
    SAME_WIDTH = 128,
    IS_CPU = 256
};

#define CLATTN_TUNING_LEVEL(id, name, conditions) { name, conditions },
static const struct {
    const char *name;
    unsigned conditions;
} levels[] = {
#include "plan/tuning_levels.def"
};
#undef CLATTN_TUNING_LEVEL

typedef struct record_file {
    char *path;
    clattn_record record;
} record_file;

/* A device's attachment. */
typedef struct records {
    pthread_mutex_t lock; /* all of it */
    bool loaded;
    record_file *files;
    size_t count;
    clattn_kernel_versions kernels; /* of the sources here; NULL: not asked for yet, or it cannot be told */
} records;

/* An entry that may serve. */
typedef struct match {
    const record_file *file; /* NULL: none */
    const clattn_record_entry *entry;
    clattn_tuning_level level;
    int distance;
    bool same_platform;
} match;

const char *clattn_tuning_level_name(clattn_tuning_level level)
{
    return levels[level].name;
}

static void *records_make(void)
{
    records *all = calloc(1, sizeof(*all));
    if (all && pthread_mutex_init(&all->lock, NULL) != 0) {
        free(all);
        return NULL;
    }
    return all;
}

void clattn_kernel_versions_free(clattn_kernel_versions versions)
{
    for (int i = 0; i < CLATTN_ALGORITHM_COUNT; i++)
        for (int j = 0; j < CLATTN_FRAGMENT_COUNT; j++) {
            free(versions[i][j]);
            versions[i][j] = NULL;
        }
}

static void forget(records *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->files[i].path);
        clattn_record_free(&all->files[i].record);
    }
    free(all->files);
    all->files = NULL;
    all->count = 0;
    clattn_kernel_versions_free(all->kernels);
    all->loaded = false;
}

static void records_destroy(void *attachment)
{
    records *all = attachment;
    forget(all);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

static void log_refusal(void *user, const char *path, int line, const char *reason)
{
    const clattn_device *device = user;
    if (line > 0)
        clattn_log(device, CLATTN_LOG_WARN, "tuning record %s:%d is not used: %s", path, line, reason);
    else
        clattn_log(device, CLATTN_LOG_WARN, "tuning record %s is not used: %s", path, reason);
}

clattn_record_device clattn_records_device(const clattn_device *device)
{
    const clattn_device_info *info = clattn_device_probed(device);
    const bool is_cpu = strcmp(info->type, "cpu") == 0;
    /* Records own their strings; these are the device's, and nobody writes to them. */
    return (clattn_record_device){ .platform = (char *)info->platform_name,
                                   .name = (char *)info->device_name,
                                   .vendor = (char *)info->vendor,
                                   .type = (char *)info->type,
                                   .architecture = (char *)info->architecture,
                                   .isa = is_cpu ? (char *)clattn_device_isa(device) : "",
                                   .compute_units = info->compute_units,
                                   .cache_bytes = (int64_t)info->global_mem_cache_size,
                                   .vector_width = info->native_vector_width_float };
}

clattn_status clattn_records_kernels(const clattn_device *device, clattn_algorithm algorithm,
                                     clattn_fragment_id fragment, char **out)
{
    char name[32], hex[CLATTN_KEY_HEX_SIZE];
    clattn_sources sources;
    clattn_key key = { 0 };
    snprintf(name, sizeof(name), "%s.cl", clattn_algorithm_name(algorithm));
    CLATTN_TRY(clattn_sources_load(clattn_device_settings_of(device)->kernel_dir, name, &sources));
    const bool right = clattn_sources_add_included_to_key(&sources, clattn_fragment_row(fragment)->name, &key);
    clattn_sources_free(&sources);
    clattn_key_hex(key, hex);
    *out = right ? clattn_text_copy(hex) : NULL;
    return *out ? CLATTN_OK : clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the version of %s", name);
}

clattn_status clattn_records_folder(const clattn_device *device, int index, char **out)
{
    const char *at = clattn_device_settings_of(device)->tuning_path;
    *out = NULL;
    for (at = at ? at : ""; *at; at += *at == ':') {
        const size_t size = strcspn(at, ":");
        if (size > 0 && index-- == 0) {
            *out = strndup(at, size);
            return *out ? CLATTN_OK : clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a folder of tuning records");
        }
        at += size;
    }
    return CLATTN_OK;
}

static bool add_file(const clattn_device *device, records *all, char *path)
{
    clattn_record record;
    if (!clattn_record_read(path, log_refusal, (void *)device, &record))
        return false;
    record_file *files = realloc(all->files, (all->count + 1) * sizeof(*files));
    if (!files) {
        log_refusal((void *)device, path, 0, "there is no memory for it");
        clattn_record_free(&record);
        return false;
    }
    all->files = files;
    files[all->count++] = (record_file){ .path = path, .record = record };
    return true;
}

static int is_record(const struct dirent *item)
{
    const size_t size = strlen(item->d_name), suffix = sizeof(SUFFIX) - 1;
    return size > suffix && strcmp(item->d_name + size - suffix, SUFFIX) == 0;
}

/* In the order of names, so that ties are decided the same way everywhere. */
static void read_folder(const clattn_device *device, records *all, const char *folder)
{
    struct dirent **items = NULL;
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    const int count = scandir(folder, &items, is_record, alphasort);
    if (count < 0 && errno == ENOENT)
        clattn_log(device, CLATTN_LOG_DEBUG, "no tuning records: there is no folder %s", folder);
    else if (count < 0)
        clattn_log(device, CLATTN_LOG_WARN, "tuning records of %s are not used: %s", folder,
                   clattn_errno_text(errno, reason));
    for (int i = 0; i < count; i++) {
        char *path = clattn_path_join(folder, items[i]->d_name);
        if (!path || !add_file(device, all, path))
            free(path);
        free(items[i]);
    }
    free(items);
}

/* Of the sources of the class's kernel. NULL: it cannot be told, and matches none. Plans will fail for the same reason,
 * and say it. */
static const char *version_of(const clattn_device *device, records *all, const clattn_tuning_class *class)
{
    char **version = &all->kernels[class->algorithm][class->fragment];
    if (!*version && clattn_records_kernels(device, class->algorithm, class->fragment, version) != CLATTN_OK)
        clattn_log(device, CLATTN_LOG_DEBUG, "no tuning record is exact: %s", clattn_last_error());
    return *version;
}

static void load(const clattn_device *device, records *all)
{
    char *folder = NULL;
    for (int i = 0; clattn_records_folder(device, i, &folder) == CLATTN_OK && folder; i++) {
        read_folder(device, all, folder);
        free(folder);
    }
    all->loaded = true;
}

/* The device's records, locked and read. NULL when there is no memory. */
static records *lock_records(clattn_device *device)
{
    records *all = clattn_device_attachment(device, CLATTN_SLOT_RECORDS, records_make, records_destroy);
    if (!all)
        return NULL;
    pthread_mutex_lock(&all->lock);
    if (!all->loaded)
        load(device, all);
    return all;
}

/* What holds between the device that an entry was measured on and this one; the class aside. */
static unsigned conditions_of(const clattn_device *device, records *all, const clattn_record *record,
                              const clattn_record_entry *entry)
{
    const clattn_record_device own = clattn_records_device(device), *other = &record->device;
    const char *kernels = version_of(device, all, &entry->class);
    const struct {
        unsigned condition;
        bool holds;
    } all_conditions[] = {
        { SAME_DEVICE, clattn_record_same_device(other, &own) },
        { SAME_DRIVER, strcmp(entry->driver, clattn_device_probed(device)->driver_version) == 0 },
        { SAME_KERNELS, kernels && strcmp(entry->kernels, kernels) == 0 },
        { SAME_ARCHITECTURE, own.architecture[0] && strcmp(other->architecture, own.architecture) == 0 },
        { SAME_VENDOR, strcmp(other->vendor, own.vendor) == 0 },
        { SAME_TYPE, strcmp(other->type, own.type) == 0 },
        { SAME_WIDTH, other->vector_width == own.vector_width },
        { IS_CPU, strcmp(own.type, "cpu") == 0 },
    };
    unsigned conditions = NONE;
    for (size_t i = 0; i < sizeof(all_conditions) / sizeof(all_conditions[0]); i++)
        conditions |= all_conditions[i].holds ? all_conditions[i].condition : NONE;
    return conditions;
}

static clattn_tuning_level level_of(unsigned conditions)
{
    int level = 0;
    while ((levels[level].conditions & ~conditions) != 0)
        level++;
    return (clattn_tuning_level)level;
}

/* A tile of the same compiler comes before a later one of another. */
static bool is_better(const match *a, const match *b)
{
    if (!b->file || a->level != b->level)
        return !b->file || a->level < b->level;
    if (a->distance != b->distance)
        return a->distance < b->distance;
    if (a->same_platform != b->same_platform)
        return a->same_platform;
    return strcmp(a->entry->date, b->entry->date) > 0;
}

/* A class has groups of all sizes. A tile for small ones would have a large one read K and V once more. */
static bool has_rows(const clattn_tile *tile, const clattn_tile_problem *problem, char *why, size_t why_size)
{
    const int32_t rows = problem->group < CLATTN_DECODE_MAX_ROWS ? problem->group : CLATTN_DECODE_MAX_ROWS;
    if (tile->fragment != CLATTN_FRAGMENT_NV_MMA || clattn_tile_rows(tile) >= rows)
        return true;
    snprintf(why, why_size, "%" PRId32 " rows are fewer than a kv head's queries, %" PRId32, clattn_tile_rows(tile),
             rows);
    return false;
}

static bool fits(const clattn_device *device, const clattn_tile_problem *problem, const match *candidate)
{
    const clattn_tile *tile = &candidate->entry->tile;
    char why[160];
    if (clattn_tile_fits(tile, problem, clattn_device_probed(device), why, sizeof(why)) &&
        has_rows(tile, problem, why, sizeof(why)))
        return true;
    clattn_log(device, CLATTN_LOG_DEBUG, "tuning record %s:%d does not serve: %s", candidate->file->path,
               candidate->entry->line, why);
    return false;
}

static void choose_in(const clattn_device *device, records *all, const record_file *file,
                      const clattn_tuning_class *wanted, const clattn_tile_problem *problem, match *best)
{
    const bool same_platform = strcmp(file->record.device.platform, clattn_device_probed(device)->platform_name) == 0;
    for (size_t i = 0; i < file->record.entry_count; i++) {
        const clattn_record_entry *entry = &file->record.entries[i];
        match candidate = { .file = file, .entry = entry, .same_platform = same_platform };
        candidate.distance = clattn_class_distance(wanted, &entry->class);
        if (candidate.distance < 0)
            continue;
        const unsigned conditions = conditions_of(device, all, &file->record, entry);
        candidate.level = level_of(conditions | (candidate.distance == 0 ? SAME_CLASS : NONE));
        if (candidate.level != CLATTN_TUNING_DEFAULT && is_better(&candidate, best) &&
            fits(device, problem, &candidate))
            *best = candidate;
    }
}

bool clattn_records_choose(clattn_device *device, const clattn_tuning_class *wanted, const clattn_tile_problem *problem,
                           clattn_tuning_choice *out)
{
    match best = { .file = NULL };
    records *all = lock_records(device);
    if (!all)
        return false;
    for (size_t i = 0; i < all->count; i++)
        choose_in(device, all, &all->files[i], wanted, problem, &best);
    if (best.file)
        *out = (clattn_tuning_choice){ .level = best.level,
                                       .tile = best.entry->tile,
                                       .split_size = best.entry->split_size,
                                       .path = best.file->path,
                                       .line = best.entry->line };
    pthread_mutex_unlock(&all->lock);
    return best.file != NULL;
}

clattn_tuning_level clattn_records_level(clattn_device *device)
{
    clattn_tuning_level best = CLATTN_TUNING_DEFAULT;
    records *all = lock_records(device);
    if (!all)
        return best;
    for (size_t i = 0; i < all->count; i++) {
        const clattn_record *record = &all->files[i].record;
        for (size_t j = 0; j < record->entry_count; j++) {
            const unsigned conditions = conditions_of(device, all, record, &record->entries[j]);
            const clattn_tuning_level level = level_of(conditions | SAME_CLASS);
            best = level < best ? level : best;
        }
    }
    pthread_mutex_unlock(&all->lock);
    return best;
}

void clattn_records_reload(clattn_device *device)
{
    records *all = clattn_device_attachment(device, CLATTN_SLOT_RECORDS, records_make, records_destroy);
    if (!all)
        return;
    pthread_mutex_lock(&all->lock);
    forget(all);
    pthread_mutex_unlock(&all->lock);
}

/* Reads the file, if it is there and of this device. */
static bool read_own(const clattn_device *device, const char *path, const clattn_record_device *own, clattn_record *out)
{
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return false;
    if (!clattn_record_read(path, log_refusal, (void *)device, out))
        return false;
    if (clattn_record_same_device(&out->device, own))
        return true;
    log_refusal((void *)device, path, 0, "it is another device's");
    clattn_record_free(out);
    return false;
}

clattn_status clattn_records_own(clattn_device *device, const char *folder, clattn_record *out)
{
    const clattn_record_device own = clattn_records_device(device);
    char *path = clattn_record_path(folder, &own);
    *out = (clattn_record){ 0 };
    const bool right = path && (read_own(device, path, &own, out) || clattn_record_copy_device(&out->device, &own));
    free(path);
    return right ? CLATTN_OK : clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the device's tuning record");
}
