/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "device/internal.h"
#include "util/text.h"

static const char *const level_names[] = {
    [CLATTN_LOG_ERROR] = "error",
    [CLATTN_LOG_WARN] = "warn",
    [CLATTN_LOG_INFO] = "info",
    [CLATTN_LOG_DEBUG] = "debug",
};

static void write_to_stderr(clattn_log_level level, const char *message)
{
    fprintf(stderr, "clattn: %s: %s\n", level_names[level], message);
}

bool clattn_log_enabled(const clattn_device *device, clattn_log_level level)
{
    return level <= device->settings.log_level;
}

void clattn_log(const clattn_device *device, clattn_log_level level, const char *format, ...)
{
    if (!clattn_log_enabled(device, level))
        return;
    char message[2048];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (length < 0)
        return;
    clattn_text_to_line(message);
    /* Logging changes nothing that callers can see of a device, so it takes a const one; the lock is the exception. */
    pthread_mutex_t *lock = &((clattn_device *)device)->log_lock;
    pthread_mutex_lock(lock);
    if (device->settings.log)
        device->settings.log(device->settings.log_user, level, message);
    else
        write_to_stderr(level, message);
    pthread_mutex_unlock(lock);
}
