/* SPDX-License-Identifier: BSD-2-Clause */
#include "tune/tune.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/queue.h"
#include "plan/records.h"
#include "util/file.h"
#include "util/range.h"
#include "util/status.h"
#include "util/text.h"

void clattn_tune_params_init(clattn_tune_params *params)
{
    if (params)
        *params = CLATTN_TUNE_PARAMS(0);
}

static clattn_status check_worker(const char *path)
{
    struct stat info;
    if (!path || (stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0))
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "worker is '%s'; it has to be the path of the command clattn, an executable file, or NULL",
                       path);
}

static clattn_status check(const clattn_device *device, const clattn_tune_params *params)
{
    CLATTN_TRY(clattn_require_pointer("device", device));
    CLATTN_TRY(clattn_check_struct_size("params", params->struct_size, sizeof(*params), "CLATTN_TUNE_PARAMS"));
    if (params->ops & ~(unsigned)CLATTN_TUNE_ALL)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "ops is %#x; it has to be bits of clattn_tune_op, up to %#x",
                           params->ops, (unsigned)CLATTN_TUNE_ALL);
    if (!isfinite(params->budget))
        return clattn_fail(CLATTN_INVALID_ARGUMENT,
                           "budget is %g; it has to be seconds, 0 for %d, or negative for no end", params->budget, 300);
    if (!isfinite(params->candidate_timeout) || params->candidate_timeout < 0)
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "candidate_timeout is %g; it has to be seconds, or 0 for %d",
                           params->candidate_timeout, 60);
    if (params->folder && !params->folder[0])
        return clattn_fail(CLATTN_INVALID_ARGUMENT, "folder is empty; it has to be a folder's path, or NULL");
    return check_worker(params->worker);
}

/* To be freed. */
static clattn_status settle_folder(const clattn_device *device, const clattn_tune_params *params, char **out)
{
    if (!params->folder)
        CLATTN_TRY(clattn_records_folder(device, 0, out));
    else if (!(*out = clattn_text_copy(params->folder)))
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for the folder of tuning records");
    if (*out)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "folder is NULL and the device has no tuning path; it has to be a "
                                                "folder, or CLATTN_TUNING_PATH, XDG_DATA_HOME or HOME has to be set");
}

static clattn_status make_folder(const char *folder)
{
    char text[CLATTN_ERRNO_TEXT_SIZE];
    const int error = clattn_file_make_folders(folder);
    if (!error)
        return CLATTN_OK;
    return clattn_fail(CLATTN_IO_ERROR, "the folder of tuning records '%s' cannot be made: %s", folder,
                       clattn_errno_text(error, text));
}

static clattn_status search(clattn_device *device, const clattn_tune_params *params, const char *folder)
{
    CLATTN_TRY(make_folder(folder));
    return clattn_tune_search(device, params, folder);
}

/* What both calls check and settle before they work on the folder. */
static clattn_status work_on_folder(clattn_device *device, const clattn_tune_params *params,
                                    clattn_status (*work)(clattn_device *device, const clattn_tune_params *params,
                                                          const char *folder))
{
    const clattn_tune_params defaults = CLATTN_TUNE_PARAMS(0);
    char *folder = NULL;
    params = params ? params : &defaults;
    CLATTN_TRY(check(device, params));
    CLATTN_TRY(settle_folder(device, params, &folder));
    const clattn_status status = work(device, params, folder);
    free(folder);
    return status;
}

clattn_status clattn_tune(clattn_device *device, const clattn_tune_params *params)
{
    return work_on_folder(device, params, search);
}

clattn_status clattn_tune_verify(clattn_device *device, const clattn_tune_params *params)
{
    return work_on_folder(device, params, clattn_tune_recheck);
}
