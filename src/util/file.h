/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_FILE_H
#define CLATTN_UTIL_FILE_H

/* Files and folders. Functions that return int give 0 or an errno value and leave clattn_last_error() alone: to the
 * program cache a failure is no error. */

#include <stdbool.h>
#include <stddef.h>

#define CLATTN_ERRNO_TEXT_SIZE 128

/* What an errno value means, written to `text`; returns it. */
const char *clattn_errno_text(int code, char text[CLATTN_ERRNO_TEXT_SIZE]);

/* Reads a regular file of at most max_size bytes (EFBIG when larger, EISDIR or EINVAL when it is no regular file).
 * *data is NUL-terminated behind its *size bytes and freed by the caller. */
int clattn_file_read(const char *path, size_t max_size, char **data, size_t *size);

/* Makes the folder and its parents, for their owner only; fine when it is there already. */
int clattn_file_make_folders(const char *path);

/* Writes a whole file or nothing: to "PATH.XXXXXX" beside it, which is synced, then renamed. Of writers that meet, one
 * wins. Nothing is left behind by a failure, only by a crash. */
int clattn_file_write_atomic(const char *path, const void *data, size_t size);

bool clattn_file_is_folder(const char *path);

/* "FOLDER/NAME", to be freed; NULL when there is no memory. */
char *clattn_path_join(const char *folder, const char *name);

/* The folder of compiled programs: `given`, else (unless the environment is ignored) CLATTN_CACHE_DIR, then
 * $XDG_CACHE_HOME/clattn, then ~/.cache/clattn, to be freed. Empty variables count as unset, and so does an
 * XDG_CACHE_HOME that is not absolute, as its specification asks. ENOENT when none is set, ENOMEM. */
int clattn_path_cache(const char *given, bool ignore_environment, char **out);

/* The folders of tuning records, separated by ':': `given`, else (unless the environment is ignored)
 * CLATTN_TUNING_PATH, else $XDG_DATA_HOME/clattn/tuning or ~/.local/share/clattn/tuning and then `installed`; when the
 * environment is ignored, `installed`. To be freed; NULL when there is no memory. Variables count as above. */
char *clattn_path_tuning(const char *given, bool ignore_environment, const char *installed);

#endif
