/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "plan/record_internal.h"
#include "util/file.h"
#include "util/status.h"
#include "util/text.h"

static clattn_status fail(const char *path, const char *what, int error)
{
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    if (error == ENOMEM)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the tuning record %s", path);
    return clattn_fail(CLATTN_IO_ERROR, "the tuning record %s cannot be %s: %s", path, what,
                       clattn_errno_text(error, reason));
}

/* Waits for the lock, which ends with its file descriptor and so with its process, too. flock() holds between threads
 * of a process as well, which fcntl() does not. */
static int lock(const char *path, int *file)
{
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s.lock", path);
    char *name = clattn_text_take(&text);
    if (!name)
        return ENOMEM;
    *file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = *file < 0 ? errno : 0;
    free(name);
    while (!error && flock(*file, LOCK_EX) != 0)
        error = errno == EINTR ? 0 : errno;
    if (error && *file >= 0)
        close(*file);
    return error;
}

/* Moves a file that is no record of the device out of the way. */
static int keep_as_bad(const char *path)
{
    clattn_text text = { 0 };
    clattn_text_add(&text, "%s.bad", path);
    char *bad = clattn_text_take(&text);
    if (!bad)
        return ENOMEM;
    const int error = rename(path, bad) == 0 ? 0 : errno;
    free(bad);
    return error;
}

/* The record that is there; an empty one when there is none, or when it had to be moved away. */
static clattn_status read_present(const char *path, const clattn_record_device *device, clattn_record_refusal refusal,
                                  void *user, clattn_record *record)
{
    char *text = NULL;
    size_t size = 0;
    *record = (clattn_record){ 0 };
    int error = clattn_file_read(path, CLATTN_RECORD_MAX_BYTES, &text, &size);
    if (error && error != ENOENT && error != EFBIG)
        return fail(path, "read", error);
    bool sound = !error && clattn_record_parse(path, text, size, refusal, user, record);
    free(text);
    if (sound && !clattn_record_same_device(&record->device, device)) {
        clattn_record_free(record);
        sound = false;
    }
    if (sound)
        return CLATTN_OK;
    if (error != ENOENT) {
        if (refusal)
            refusal(user, path, 0,
                    "it is no record of this device; it is kept as *.json.bad, and a new one is written");
        error = keep_as_bad(path);
        if (error)
            return fail(path, "moved away", error);
    }
    return clattn_record_copy_device(&record->device, device) ? CLATTN_OK : fail(path, "made", ENOMEM);
}

static bool apply(clattn_record *record, const clattn_record *changes)
{
    bool right = true;
    for (size_t i = 0; i < changes->entry_count && right; i++)
        right = clattn_record_set_entry(record, &changes->entries[i]);
    for (size_t i = 0; i < changes->fault_count && right; i++)
        right = clattn_record_set_fault(record, &changes->faults[i]);
    return right;
}

static clattn_status write_record(const char *path, const clattn_record *record)
{
    char *text = clattn_record_text(record);
    if (!text)
        return fail(path, "written", ENOMEM);
    const int error = clattn_file_write_atomic(path, text, strlen(text));
    free(text);
    return error ? fail(path, "written", error) : CLATTN_OK;
}

static clattn_status merge_locked(const char *path, const clattn_record *changes, clattn_record_refusal refusal,
                                  void *user)
{
    clattn_record record;
    clattn_status status = read_present(path, &changes->device, refusal, user, &record);
    if (status == CLATTN_OK && !apply(&record, changes))
        status = fail(path, "merged", ENOMEM);
    if (status == CLATTN_OK)
        status = write_record(path, &record);
    clattn_record_free(&record);
    return status;
}

clattn_status clattn_record_merge(const char *folder, const clattn_record *changes, clattn_record_refusal refusal,
                                  void *user)
{
    char reason[CLATTN_ERRNO_TEXT_SIZE];
    int file = -1, error = clattn_file_make_folders(folder);
    if (error)
        return clattn_fail(CLATTN_IO_ERROR, "the folder of tuning records %s cannot be made: %s", folder,
                           clattn_errno_text(error, reason));
    char *path = clattn_record_path(folder, &changes->device);
    if (!path)
        return fail(folder, "named", ENOMEM);
    error = lock(path, &file);
    const clattn_status status = error ? fail(path, "locked", error) : merge_locked(path, changes, refusal, user);
    if (!error)
        close(file);
    free(path);
    return status;
}
