/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KERNEL_ENTRY_H
#define CLATTN_KERNEL_ENTRY_H

/* The format of one file of the program cache. Pure functions over bytes.
 *
 *   byte  0  magic "CLATTNPC"
 *         8  format version        uint32
 *        12  length of `device`    uint32
 *        16  key                   2 x uint64
 *        32  length of `program`   uint32
 *        36  zero                  uint32
 *        40  length of `binary`    uint64
 *        48  checksum              2 x uint64, over everything but itself
 *        64  device, program (text, no NUL), binary, nothing behind
 *
 * Numbers are in the machine's own byte order: on another one the version is unknown. */

#include "util/hash.h"

#define CLATTN_ENTRY_VERSION     1u
#define CLATTN_ENTRY_HEADER_SIZE ((size_t)64)
#define CLATTN_ENTRY_MAX_SIZE    ((size_t)1 << 30)
#define CLATTN_ENTRY_MAX_TEXT    ((size_t)1 << 16)

typedef struct clattn_entry {
    clattn_key key;
    const char *device, *program; /* for people; not NUL-terminated after decoding */
    size_t device_size, program_size;
    const void *binary;
    size_t binary_size;
} clattn_entry;

/* Bytes of the entry's file; 0 when it is outside what the format can hold. */
size_t clattn_entry_size(const clattn_entry *entry);

/* Writes clattn_entry_size() bytes. */
void clattn_entry_encode(const clattn_entry *entry, void *bytes);

/* Sets the checksum of bytes that are at least a header, whatever else is wrong with them: for tests. */
void clattn_entry_seal(void *bytes, size_t size);

/* Checks everything, the checksum included, and points *entry into `bytes`. Returns NULL, or one line on what is wrong.
 */
const char *clattn_entry_decode(const void *bytes, size_t size, clattn_entry *entry);

#endif
