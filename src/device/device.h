/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_DEVICE_DEVICE_H
#define CLATTN_DEVICE_DEVICE_H

/* What the other layers may ask a clattn_device. Reference-counted: plans and kernels keep it alive. */

#include <stdbool.h>

#include <clattn/device.h>

/* One bit a row of quirks.def: CLATTN_QUIRK_<NAME>. */
#define CLATTN_QUIRK(name, ...) CLATTN_QUIRK_INDEX_##name,
enum {
#include "quirks.def"
    CLATTN_QUIRK_COUNT
};
#undef CLATTN_QUIRK

/* What a device is made from once arguments and environment are settled. Strings are copied. */
typedef struct clattn_device_settings {
    const char *cache_dir; /* NULL: no disk cache */
    uint64_t cache_max_bytes;
    const char *kernel_dir;  /* NULL: embedded sources */
    const char *tuning_path; /* folders of tuning records, separated by ':'; NULL or "": none */
    clattn_log_callback log;
    void *log_user;
    clattn_log_level log_level; /* not DEFAULT */
} clattn_device_settings;

/* Probes the device and retains it and the context. CLATTN_UNSUPPORTED: see clattn_device_create. */
clattn_status clattn_device_open(cl_context context, cl_device_id id, const clattn_device_settings *settings,
                                 clattn_device **out);

clattn_device *clattn_device_retain(clattn_device *device);
void clattn_device_release(clattn_device *device);

cl_context clattn_device_context(const clattn_device *device);
cl_device_id clattn_device_id(const clattn_device *device);
cl_device_type clattn_device_type(const clattn_device *device);
const clattn_device_info *clattn_device_probed(const clattn_device *device);
const clattn_device_settings *clattn_device_settings_of(const clattn_device *device);

/* Everything of platform, device and driver that a compiled program depends on, as text: for keys. */
const char *clattn_device_identity(const clattn_device *device);

/* A key of a CPU's instruction sets; "" on other devices, and where the system does not tell them. */
const char *clattn_device_isa(const clattn_device *device);

/* "PLATFORM / DEVICE / DRIVER", one line for people. */
const char *clattn_device_line(const clattn_device *device);

/* 90 of "sm_90"; 0 of other architectures' names. */
int clattn_sm_version(const char *architecture);

/* The fragment that plans prefer here, where the caller names none. */
const char *clattn_preferred_fragment(const clattn_device *device);

/* What higher layers keep on a device. */
typedef enum clattn_device_slot {
    CLATTN_SLOT_KERNELS,
    CLATTN_SLOT_RECORDS,
    CLATTN_SLOT_PROOFS,
    CLATTN_SLOT_COUNT
} clattn_device_slot;

/* The slot's object: made by the first call, handed out by all, destroyed with the device. NULL when make() gave NULL.
 * make() must not ask the device for an attachment. */
void *clattn_device_attachment(clattn_device *device, clattn_device_slot slot, void *(*make)(void),
                               void (*destroy)(void *));

/* A number that no other call for the device gives. Thread-safe. */
uint64_t clattn_device_next_serial(clattn_device *device);

bool clattn_device_has_quirk(const clattn_device *device, int quirk_index);
#define CLATTN_HAS_QUIRK(device, name) clattn_device_has_quirk(device, CLATTN_QUIRK_INDEX_##name)

/* printf-like, one line; dropped when less urgent than the device's level. */
__attribute__((format(printf, 3, 4))) void clattn_log(const clattn_device *device, clattn_log_level level,
                                                      const char *format, ...);
bool clattn_log_enabled(const clattn_device *device, clattn_log_level level);

#endif
