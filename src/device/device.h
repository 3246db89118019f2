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

clattn_device *clattn_device_retain(clattn_device *device);
void clattn_device_release(clattn_device *device);

cl_context clattn_device_context(const clattn_device *device);
cl_device_id clattn_device_id(const clattn_device *device);
cl_device_type clattn_device_type(const clattn_device *device);
const clattn_device_info *clattn_device_probed(const clattn_device *device);
bool clattn_device_has_quirk(const clattn_device *device, int quirk_index);
#define CLATTN_HAS_QUIRK(device, name) clattn_device_has_quirk(device, CLATTN_QUIRK_INDEX_##name)

/* printf-like, one line; dropped when less urgent than the device's level. */
__attribute__((format(printf, 3, 4))) void clattn_log(const clattn_device *device, clattn_log_level level,
                                                      const char *format, ...);
bool clattn_log_enabled(const clattn_device *device, clattn_log_level level);

#endif
