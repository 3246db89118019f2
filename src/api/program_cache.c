/* SPDX-License-Identifier: BSD-2-Clause */
#include <clattn/program_cache.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/store.h"
#include "util/file.h"
#include "util/status.h"

static clattn_status folder_of(const char *cache_dir, char **folder)
{
    int error = clattn_path_cache(cache_dir, false, folder);
    if (error == ENOENT)
        return clattn_fail(
            CLATTN_IO_ERROR,
            "no cache folder: cache_dir is NULL, and CLATTN_CACHE_DIR, XDG_CACHE_HOME and HOME are not set");
    if (error)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the cache folder's path");
    return CLATTN_OK;
}

static clattn_status list_of(const char *folder, clattn_store_list *list)
{
    int error = clattn_store_list_make(folder, list);
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    if (error == ENOMEM)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the list of %s", folder);
    if (error)
        return clattn_fail(CLATTN_IO_ERROR, "cache folder %s cannot be read: %s", folder,
                           clattn_errno_text(error, reason));
    return CLATTN_OK;
}

clattn_status clattn_program_cache_dir(const char *cache_dir, char *path, size_t size)
{
    if (!path)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "path is NULL; it has to point to size bytes");
    char *folder = NULL;
    CLATTN_TRY(folder_of(cache_dir, &folder));
    size_t needed = strlen(folder) + 1;
    if (needed <= size)
        memcpy(path, folder, needed);
    free(folder);
    if (needed > size)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "size is %zu; the path needs %zu", size, needed);
    return CLATTN_OK;
}

/* What the visitor is shown of one file, with the memory behind it. */
typedef struct entry_view {
    clattn_program_cache_entry entry;
    char *path, *device, *program, *bytes;
    const char *defect;
    char reason[CLATTN_ERRNO_TEXT_SIZE];
} entry_view;

static char *copy_part(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

/* false: no memory. */
static bool fill_view(const char *folder, const clattn_store_file *file, entry_view *view, bool *gone)
{
    clattn_entry stored = { .device = "", .program = "" };
    int error = clattn_store_read_listed(folder, file, &view->bytes, &stored, &view->defect);
    *gone = error == ENOENT;
    if (error == ENOMEM)
        return false;
    if (error)
        view->defect = clattn_errno_text(error, view->reason);
    if (view->defect)
        stored.device_size = stored.program_size = 0;
    view->path = clattn_path_join(folder, file->name);
    view->device = copy_part(stored.device, stored.device_size);
    view->program = copy_part(stored.program, stored.program_size);
    view->entry = (clattn_program_cache_entry){ .path = view->path,
                                                .device = view->device,
                                                .program = view->program,
                                                .size = file->size,
                                                .last_used = file->seconds,
                                                .defect = view->defect };
    return view->path && view->device && view->program;
}

static clattn_status visit_file(const char *folder, const clattn_store_file *file, clattn_program_cache_visitor visitor,
                                void *user, bool *stop)
{
    entry_view view = { 0 };
    bool gone = false;
    clattn_status status = CLATTN_OK;
    if (!fill_view(folder, file, &view, &gone))
        status = clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for cache entry %s", file->name);
    else if (!gone)
        *stop = visitor(user, &view.entry) != 0;
    free(view.path);
    free(view.device);
    free(view.program);
    free(view.bytes);
    return status;
}

clattn_status clattn_program_cache_visit(const char *cache_dir, clattn_program_cache_visitor visitor, void *user)
{
    if (!visitor)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "visitor is NULL; it has to be a function");
    char *folder = NULL;
    clattn_store_list list = { 0 };
    CLATTN_TRY(folder_of(cache_dir, &folder));
    clattn_status status = list_of(folder, &list);
    bool stop = false;
    for (size_t i = 0; status == CLATTN_OK && !stop && i < list.count; i++)
        if (!list.files[i].temporary)
            status = visit_file(folder, &list.files[i], visitor, user, &stop);
    clattn_store_list_free(&list);
    free(folder);
    return status;
}

static clattn_status clear_list(const char *folder, const clattn_store_list *list, uint64_t *removed, uint64_t *bytes)
{
    clattn_status status = CLATTN_OK;
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    for (size_t i = 0; i < list->count; i++) {
        const clattn_store_file *file = &list->files[i];
        int error = clattn_store_remove(folder, file);
        if (error) {
            status = clattn_fail(CLATTN_IO_ERROR, "cache entry %s/%s cannot be removed: %s", folder, file->name,
                                 clattn_errno_text(error, reason));
            continue;
        }
        *removed += 1;
        *bytes += file->size;
    }
    return status;
}

clattn_status clattn_program_cache_clear(const char *cache_dir, uint64_t *removed, uint64_t *bytes)
{
    char *folder = NULL;
    clattn_store_list list = { 0 };
    uint64_t files = 0, total = 0;
    CLATTN_TRY(folder_of(cache_dir, &folder));
    clattn_status status = list_of(folder, &list);
    if (status == CLATTN_OK)
        status = clear_list(folder, &list, &files, &total);
    clattn_store_list_free(&list);
    free(folder);
    if (removed)
        *removed += files;
    if (bytes)
        *bytes += total;
    return status;
}
