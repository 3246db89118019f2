/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_RECORDS_H
#define CLATTN_PLAN_RECORDS_H

/* Which measured choice serves a device and a class. A device's records are all files of the folders of its tuning
 * path, read once, when first asked for. Thread-safe. */

#include "device/device.h"
#include "plan/record.h"

/* From the best match to none; tuning_levels.def says what each asks for. */
typedef enum clattn_tuning_level {
    CLATTN_TUNING_EXACT,        /* this device, driver, kernel sources and class */
    CLATTN_TUNING_DEVICE,       /* this device, but another driver, other sources, or a class near by */
    CLATTN_TUNING_ARCHITECTURE, /* a device of the same architecture */
    CLATTN_TUNING_VENDOR,       /* one of the same vendor, type and vector width */
    CLATTN_TUNING_TYPE,         /* one of the same type and vector width */
    CLATTN_TUNING_DEFAULT       /* a built-in default */
} clattn_tuning_level;

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

/* The best level that any entry has for the device, its class aside. */
clattn_tuning_level clattn_records_level(clattn_device *device);

/* Forgets what was read: the next question reads the folders again. */
void clattn_records_reload(clattn_device *device);

/* The device as records know it: pointers into it, not to be freed. */
clattn_record_device clattn_records_device(const clattn_device *device);

/* The version of a kernel's sources: a hash of all that it is compiled from. To be freed. */
clattn_status clattn_records_kernels(const clattn_device *device, clattn_algorithm algorithm, char **out);

/* The entry, faults and folder of this very device, for the tuner: the merged record of the tuning path's first folder;
 * empty when there is none. */
clattn_status clattn_records_own(clattn_device *device, const char *folder, clattn_record *out);

#endif
