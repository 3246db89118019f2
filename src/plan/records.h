/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_RECORDS_H
#define CLATTN_PLAN_RECORDS_H

/* Which measured choice serves a device and a class. A device's records are all files of the folders of its tuning
 * path, read once, when first asked for. Thread-safe. */

#include "device/device.h"
#include "plan/record.h"

/* CLATTN_TUNING_EXACT to CLATTN_TUNING_DEFAULT: from the best match to none. */
#define CLATTN_TUNING_LEVEL(id, name, conditions) CLATTN_TUNING_##id,
typedef enum clattn_tuning_level {
#include "plan/tuning_levels.def"
    CLATTN_TUNING_LEVEL_COUNT
} clattn_tuning_level;
#undef CLATTN_TUNING_LEVEL

/* "exact", "device", ...; also what the API and the command call it. */
const char *clattn_tuning_level_name(clattn_tuning_level level);

typedef struct clattn_tuning_choice {
    clattn_tuning_level level; /* never DEFAULT */
    clattn_tile tile;
    int32_t split_size; /* 0: none was measured */
    const char *path;   /* of the record; lives as long as the device, or until a reload */
    int line;
} clattn_tuning_choice;

/* The best entry for the class whose tile fits `problem` on the device: the best level first, in it the nearest class,
 * then the latest date. False when there is none. */
bool clattn_records_choose(clattn_device *device, const clattn_tuning_class *wanted, const clattn_tile_problem *problem,
                           clattn_tuning_choice *out);

/* The best level that any entry has for the device, classes aside: what `clattn devices` shows. */
clattn_tuning_level clattn_records_level(clattn_device *device);

/* Forgets what was read: the next question reads the folders again. */
void clattn_records_reload(clattn_device *device);

/* The device as records know it: pointers into it, not to be freed. */
clattn_record_device clattn_records_device(const clattn_device *device);

/* The version of a kernel's sources: a hash of all that it is compiled from with a fragment. To be freed.
 * CLATTN_IO_ERROR (a file of the device's kernel_dir), CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_records_kernels(const clattn_device *device, clattn_algorithm algorithm,
                                     clattn_fragment_id fragment, char **out);

/* Such versions, by algorithm and fragment. */
typedef char *clattn_kernel_versions[CLATTN_ALGORITHM_COUNT][CLATTN_FRAGMENT_COUNT];
void clattn_kernel_versions_free(clattn_kernel_versions versions);

/* Folder `index` of the device's tuning path, to be freed; NULL past the last. CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_records_folder(const clattn_device *device, int index, char **out);

/* The record that `folder` has of this very device, for the tuner; with no entries when there is none that can be read,
 * which is logged. To be freed by clattn_record_free. CLATTN_OUT_OF_MEMORY. */
clattn_status clattn_records_own(clattn_device *device, const char *folder, clattn_record *out);

#endif
