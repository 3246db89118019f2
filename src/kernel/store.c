/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/file.h"
#include "util/text.h"

#define SUFFIX           ".clprog"
#define DIGITS           ((size_t)32)
#define ENTRY_NAME_SIZE  (DIGITS + sizeof(SUFFIX)) /* with the NUL */
#define TEMPORARY_LIFE_S 3600

static void entry_name(clattn_key key, char name[ENTRY_NAME_SIZE])
{
    clattn_key_hex(key, name);
    memcpy(name + DIGITS, SUFFIX, sizeof(SUFFIX));
}

/* Whether the name is the cache's, and which of its two forms it has. */
static bool own_name(const char *name, bool *temporary)
{
    if (strspn(name, "0123456789abcdef") < DIGITS || strncmp(name + DIGITS, SUFFIX, sizeof(SUFFIX) - 1) != 0)
        return false;
    const char *rest = name + DIGITS + sizeof(SUFFIX) - 1;
    *temporary = strlen(rest) == 7 && rest[0] == '.';
    return *temporary || rest[0] == '\0';
}

static int read_path(const char *path, char **bytes, clattn_entry *entry, const char **defect)
{
    size_t size = 0;
    *defect = NULL;
    int error = clattn_file_read(path, CLATTN_ENTRY_MAX_SIZE, bytes, &size);
    if (!error)
        *defect = clattn_entry_decode(*bytes, size, entry);
    return error;
}

int clattn_store_read(const char *folder, clattn_key key, char **bytes, clattn_entry *entry, const char **defect)
{
    char name[ENTRY_NAME_SIZE];
    entry_name(key, name);
    char *path = clattn_path_join(folder, name);
    if (!path)
        return ENOMEM;
    int error = read_path(path, bytes, entry, defect);
    if (!error && !*defect && !clattn_key_equal(entry->key, key))
        *defect = "it is another program's, by its key";
    if (!error && *defect) {
        free(*bytes);
        error = EBADMSG;
    }
    /* The time of use decides what goes first; on a read-only folder nothing ever goes. */
    if (!error)
        utimensat(AT_FDCWD, path, NULL, 0);
    free(path);
    return error;
}

static int newest_first(const void *a, const void *b)
{
    const clattn_store_file *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    if (x->nanoseconds != y->nanoseconds)
        return x->nanoseconds < y->nanoseconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int list_add(clattn_store_list *list, const char *name, bool temporary, const struct stat *info)
{
    /* Capacity is the next power of two. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t capacity = list->count ? list->count * 2 : 1;
        clattn_store_file *files = realloc(list->files, capacity * sizeof(*files));
        if (!files)
            return ENOMEM;
        list->files = files;
    }
    char *copy = clattn_text_copy(name);
    if (!copy)
        return ENOMEM;
    list->files[list->count++] = (clattn_store_file){ .name = copy,
                                                      .size = (uint64_t)info->st_size,
                                                      .seconds = info->st_mtim.tv_sec,
                                                      .nanoseconds = info->st_mtim.tv_nsec,
                                                      .temporary = temporary };
    return 0;
}

static int list_read(DIR *folder, clattn_store_list *list)
{
    for (;;) {
        errno = 0;
        struct dirent *item = readdir(folder);
        if (!item)
            return errno;
        bool temporary = false;
        struct stat info;
        if (!own_name(item->d_name, &temporary))
            continue;
        /* Gone since: another process removed it. */
        if (fstatat(dirfd(folder), item->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
            continue;
        int error = list_add(list, item->d_name, temporary, &info);
        if (error)
            return error;
    }
}

int clattn_store_list_make(const char *folder, clattn_store_list *list)
{
    *list = (clattn_store_list){ 0 };
    DIR *handle = opendir(folder);
    if (!handle)
        return errno == ENOENT ? 0 : errno;
    int error = list_read(handle, list);
    closedir(handle);
    if (error)
        clattn_store_list_free(list);
    else if (list->count)
        qsort(list->files, list->count, sizeof(*list->files), newest_first);
    return error;
}

void clattn_store_list_free(clattn_store_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].name);
    free(list->files);
    *list = (clattn_store_list){ 0 };
}

int clattn_store_read_listed(const char *folder, const clattn_store_file *file, char **bytes, clattn_entry *entry,
                             const char **defect)
{
    char *path = clattn_path_join(folder, file->name);
    if (!path)
        return ENOMEM;
    int error = read_path(path, bytes, entry, defect);
    free(path);
    if (error || *defect)
        return error;
    char name[ENTRY_NAME_SIZE];
    entry_name(entry->key, name);
    if (strcmp(name, file->name) != 0)
        *defect = "it is another program's, by its key";
    return 0;
}

int clattn_store_remove(const char *folder, const clattn_store_file *file)
{
    char *path = clattn_path_join(folder, file->name);
    if (!path)
        return ENOMEM;
    int error = unlink(path) == 0 || errno == ENOENT ? 0 : errno;
    free(path);
    return error;
}

/* What cannot be removed stays, and the next write tries again. */
static void tidy(const char *folder, uint64_t max_bytes)
{
    clattn_store_list list;
    if (clattn_store_list_make(folder, &list) != 0)
        return;
    int64_t now = time(NULL);
    uint64_t total = 0;
    for (size_t i = 0; i < list.count; i++) {
        const clattn_store_file *file = &list.files[i];
        bool stale = file->temporary && file->seconds < now - TEMPORARY_LIFE_S;
        if (!file->temporary)
            total += file->size;
        if (stale || (!file->temporary && total > max_bytes))
            clattn_store_remove(folder, file);
    }
    clattn_store_list_free(&list);
}

static int write_bytes(const char *folder, clattn_key key, const void *bytes, size_t size)
{
    char name[ENTRY_NAME_SIZE];
    entry_name(key, name);
    char *path = clattn_path_join(folder, name);
    if (!path)
        return ENOMEM;
    int error = clattn_file_make_folders(folder);
    if (!error)
        error = clattn_file_write_atomic(path, bytes, size);
    free(path);
    return error;
}

int clattn_store_write(const char *folder, const clattn_entry *entry, uint64_t max_bytes)
{
    size_t size = clattn_entry_size(entry);
    if (size == 0 || size > max_bytes)
        return EFBIG;
    void *bytes = malloc(size);
    if (!bytes)
        return ENOMEM;
    clattn_entry_encode(entry, bytes);
    int error = write_bytes(folder, entry->key, bytes, size);
    free(bytes);
    if (!error)
        tidy(folder, max_bytes);
    return error;
}
