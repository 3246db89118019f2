/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/entry.h"

#include <stdbool.h>
#include <string.h>

typedef struct entry_header {
    char magic[8];
    uint32_t version;
    uint32_t device_size;
    clattn_key key;
    uint32_t program_size;
    uint32_t zero;
    uint64_t binary_size;
    clattn_key checksum;
} entry_header;

_Static_assert(sizeof(entry_header) == 64, "the header has no padding");

static const char magic[8] = { 'C', 'L', 'A', 'T', 'T', 'N', 'P', 'C' };

static clattn_key checksum_of(const void *bytes, size_t size)
{
    clattn_key key = { 0 };
    clattn_key_add(&key, bytes, offsetof(entry_header, checksum));
    clattn_key_add(&key, (const char *)bytes + sizeof(entry_header), size - sizeof(entry_header));
    return key;
}

void clattn_entry_seal(void *bytes, size_t size)
{
    clattn_key checksum = checksum_of(bytes, size);
    memcpy((char *)bytes + offsetof(entry_header, checksum), &checksum, sizeof(checksum));
}

size_t clattn_entry_size(const clattn_entry *entry)
{
    if (entry->device_size > CLATTN_ENTRY_MAX_TEXT || entry->program_size > CLATTN_ENTRY_MAX_TEXT)
        return 0;
    size_t head = sizeof(entry_header) + entry->device_size + entry->program_size;
    if (entry->binary_size == 0 || entry->binary_size > CLATTN_ENTRY_MAX_SIZE - head)
        return 0;
    return head + entry->binary_size;
}

void clattn_entry_encode(const clattn_entry *entry, void *bytes)
{
    entry_header header = { .version = CLATTN_ENTRY_VERSION,
                            .device_size = (uint32_t)entry->device_size,
                            .key = entry->key,
                            .program_size = (uint32_t)entry->program_size,
                            .binary_size = entry->binary_size };
    memcpy(header.magic, magic, sizeof(magic));
    char *at = bytes;
    memcpy(at, &header, sizeof(header));
    at += sizeof(header);
    memcpy(at, entry->device, entry->device_size);
    at += entry->device_size;
    memcpy(at, entry->program, entry->program_size);
    at += entry->program_size;
    memcpy(at, entry->binary, entry->binary_size);
    clattn_entry_seal(bytes, clattn_entry_size(entry));
}

static bool is_line(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

static const char *check_header(const entry_header *header, size_t size)
{
    if (memcmp(header->magic, magic, sizeof(magic)) != 0)
        return "it does not start with the magic of a program cache entry";
    if (header->version != CLATTN_ENTRY_VERSION)
        return "its format version is not this library's";
    if (header->zero != 0)
        return "its reserved field is not zero";
    if (header->device_size > CLATTN_ENTRY_MAX_TEXT || header->program_size > CLATTN_ENTRY_MAX_TEXT)
        return "its text is longer than an entry's text may be";
    if (header->binary_size == 0)
        return "it holds no binary";
    /* No sum can overflow: texts are bounded above, and the binary by the file's size. */
    size_t rest = size - sizeof(*header);
    size_t texts = (size_t)header->device_size + header->program_size;
    if (header->binary_size > rest || texts > rest - (size_t)header->binary_size)
        return "it is shorter than its header says";
    if (texts + (size_t)header->binary_size != rest)
        return "it is longer than its header says";
    return NULL;
}

const char *clattn_entry_decode(const void *bytes, size_t size, clattn_entry *entry)
{
    entry_header header;
    if (size < sizeof(header))
        return "it is shorter than an entry's header";
    memcpy(&header, bytes, sizeof(header));
    const char *defect = check_header(&header, size);
    if (defect)
        return defect;
    if (!clattn_key_equal(header.checksum, checksum_of(bytes, size)))
        return "its checksum does not match its content";
    const char *device = (const char *)bytes + sizeof(header);
    const char *program = device + header.device_size;
    if (!is_line(device, header.device_size) || !is_line(program, header.program_size))
        return "its text has control characters";
    *entry = (clattn_entry){ .key = header.key,
                             .device = device,
                             .program = program,
                             .device_size = header.device_size,
                             .program_size = header.program_size,
                             .binary = program + header.program_size,
                             .binary_size = (size_t)header.binary_size };
    return NULL;
}
