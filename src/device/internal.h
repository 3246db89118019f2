/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_DEVICE_INTERNAL_H
#define CLATTN_DEVICE_INTERNAL_H

/* What the files of this folder share. */

#include <pthread.h>

#include "device/device.h"

/* Strings of clattn_device_info that the device owns; the others are constants. */
typedef struct clattn_probe {
    clattn_device_info info;
    cl_device_type type;
    uint64_t quirks; /* bit i: row i of quirks.def */
    char *platform_name, *platform_version, *device_name, *vendor, *driver_version, *device_version, *quirk_names;
    char *architecture, *isa, *identity, *line;
} clattn_probe;

struct clattn_device {
    pthread_mutex_t lock; /* references, serial, attachments */
    pthread_mutex_t log_lock;
    int references;
    uint64_t serial;
    cl_context context;
    cl_device_id id;
    clattn_probe probe;
    clattn_device_settings settings;
    char *cache_dir, *kernel_dir, *tuning_path;
    struct {
        void *object;
        void (*destroy)(void *);
    } attachments[CLATTN_SLOT_COUNT];
};

/* Fills *probe. clattn_probe_free takes a partly filled one too. */
clattn_status clattn_probe_device(cl_device_id id, clattn_probe *probe);
void clattn_probe_free(clattn_probe *probe);

/* The rows that match, as bits, and their names, comma-separated, to be freed (NULL: no memory). */
uint64_t clattn_quirks_match(const char *platform, const char *device, const char *vendor);
char *clattn_quirks_names(uint64_t quirks);

/* Of the CPU that this process runs on: the level of its instruction sets ("x86-64-v3", "aarch64"; "": unknown), and a
 * key of all of them, to be freed ("": the system does not tell them; NULL: no memory). */
const char *clattn_cpu_architecture(void);
char *clattn_cpu_isa(void);
/* The level that a list of x86 flags makes. */
const char *clattn_x86_level(const char *flags);

/* Whether the list of words has this one. */
bool clattn_has_word(const char *list, const char *word);

/* Text for keys, to be freed; NULL when there is no memory. */
char *clattn_identity_make(const clattn_probe *probe);

#endif
