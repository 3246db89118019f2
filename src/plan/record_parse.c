/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plan/record_internal.h"
#include "util/file.h"
#include "util/range.h"
#include "util/text.h"

#define MAX_ELEMENTS 4096 /* of an array: more is no record, and would be slow to check */
#define MAX_STRING   1024 /* bytes */
#define REASON_SIZE  512

typedef struct reader {
    const char *path, *text;
    size_t size;
    clattn_record_refusal refusal;
    void *user;
    clattn_record *record;
    char reason[REASON_SIZE];
} reader;

static const char *const record_keys[] = { "schema", "device", "entries", "faults", NULL };
static const char *const device_keys[] = { "platform", "name",          "vendor",      "type",         "architecture",
                                           "isa",      "compute_units", "cache_bytes", "vector_width", NULL };
static const char *const entry_keys[] = { "kernel",          "fragment", "class",      "tile", "split_size",
                                          "driver",          "library",  "kernels",    "date", "seconds",
                                          "default_seconds", "points",   "exhaustive", NULL };
static const char *const fault_keys[] = { "kernel", "fragment", "class", "tile", "split_size",
                                          "driver", "kernels",  "fault", NULL };

/* Notes why the element at hand is refused; false. */
__attribute__((format(printf, 2, 3))) static bool no(reader *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->reason, sizeof(r->reason), format, arguments);
    va_end(arguments);
    return false;
}

static void refuse(reader *r, int line)
{
    clattn_text_to_line(r->reason);
    if (r->refusal)
        r->refusal(r->user, r->path, line, r->reason);
}

static bool is_among(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

/* An object that has each of the keys and no other. */
static bool check_object(reader *r, const char *what, json_t *object, const char *const *keys)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object))
        return no(r, "%s is no object", what);
    json_object_foreach(object, key, value)
    {
        if (!is_among(key, keys))
            return no(r, "%s has the key \"%.64s\", which is none of schema %d", what, key, CLATTN_RECORD_SCHEMA);
    }
    for (; *keys; keys++)
        if (!json_object_get(object, *keys))
            return no(r, "%s lacks the key \"%s\"", what, *keys);
    return true;
}

static bool get_string(reader *r, json_t *object, const char *key, char **out)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value)
        return no(r, "%s is no string", key);
    if (strlen(value) > MAX_STRING)
        return no(r, "%s has %zu bytes; it has to have at most %d", key, strlen(value), MAX_STRING);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20)
            return no(r, "%s has a control character", key);
    *out = clattn_text_copy(value);
    return *out || no(r, "no memory for %s", key);
}

static bool get_integer(reader *r, json_t *object, const char *key, int64_t low, int64_t high, int64_t *out)
{
    json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return no(r, "%s is no integer", key);
    *out = (int64_t)json_integer_value(value);
    if (*out < low || *out > high)
        return no(r, "%s is %" PRId64 "; it has to be %" PRId64 " to %" PRId64, key, *out, low, high);
    return true;
}

static bool get_int32(reader *r, json_t *object, const char *key, int32_t low, int32_t high, int32_t *out)
{
    int64_t value = 0;
    if (!get_integer(r, object, key, low, high, &value))
        return false;
    *out = (int32_t)value;
    return true;
}

static bool get_bool(reader *r, json_t *object, const char *key, bool *out)
{
    json_t *value = json_object_get(object, key);
    *out = json_is_true(value);
    return json_is_boolean(value) || no(r, "%s is neither true nor false", key);
}

static bool get_seconds(reader *r, json_t *object, const char *key, double *out)
{
    json_t *value = json_object_get(object, key);
    *out = json_number_value(value);
    if (!json_is_number(value))
        return no(r, "%s is no number", key);
    return (isfinite(*out) && *out > 0.0) || no(r, "%s is %g; it has to be finite and over 0", key, *out);
}

/* "2026-11-27": so that dates compare as text. */
static bool check_date(reader *r, const char *date)
{
    static const char form[] = "dddd-dd-dd";
    bool right = strlen(date) == sizeof(form) - 1;
    for (size_t i = 0; right && form[i]; i++)
        right = form[i] == 'd' ? date[i] >= '0' && date[i] <= '9' : date[i] == form[i];
    const long month = right ? strtol(date + 5, NULL, 10) : 0, day = right ? strtol(date + 8, NULL, 10) : 0;
    right = right && month >= 1 && month <= 12 && day >= 1 && day <= 31;
    return right || no(r, "date is \"%.64s\"; it has to be YYYY-MM-DD", date);
}

static bool read_field(reader *r, json_t *fields, const clattn_class_field *field, clattn_fragment_id fragment,
                       int32_t *value)
{
    if (field->kind == CLATTN_FIELD_DTYPE) {
        const char *name = json_string_value(json_object_get(fields, field->name));
        *value = field->low;
        while (name && *value <= field->high && strcmp(name, clattn_dtype_name((clattn_dtype)*value)) != 0)
            ++*value;
        return (name && *value <= field->high) ||
               no(r, "class: %s is \"%.64s\", which is none of its types", field->name, name ? name : "(no string)");
    }
    if (field->kind == CLATTN_FIELD_FLAG || field->kind == CLATTN_FIELD_OPTION) {
        bool flag = false;
        if (!get_bool(r, fields, field->name, &flag))
            return false;
        *value = flag;
        return true;
    }
    if (!get_int32(r, fields, field->name, field->low, clattn_dim_class(fragment, field->high), value))
        return false;
    return *value == clattn_dim_class(fragment, *value) ||
           no(r, "class: %s is %" PRId32 "; it has to be a multiple of %" PRId32, field->name, *value,
              clattn_fragment_row(fragment)->granule);
}

static bool read_class(reader *r, json_t *fields, clattn_tuning_class *of)
{
    const char *names[CLATTN_CLASS_MAX_FIELDS + 1] = { NULL };
    const clattn_class_field *field = NULL;
    for (int i = 0; (field = clattn_class_field_row(of->algorithm, i)); i++) {
        names[i] = field->name;
        if (field->kind == CLATTN_FIELD_OPTION && json_is_object(fields) && !json_object_get(fields, field->name))
            json_object_set_new(fields, field->name, json_false());
    }
    if (!check_object(r, "class", fields, names))
        return false;
    for (int i = 0; (field = clattn_class_field_row(of->algorithm, i)); i++)
        if (!read_field(r, fields, field, of->fragment, &of->values[i]))
            return false;
    return true;
}

static bool read_tile(reader *r, json_t *parameters, clattn_tile *tile)
{
    const char *names[CLATTN_TILE_MAX_PARAMETERS + 1] = { NULL };
    char why[REASON_SIZE / 2];
    for (int i = 0; i < clattn_fragment_parameters(tile->fragment); i++)
        names[i] = clattn_fragment_row(tile->fragment)->parameters[i].name;
    if (!check_object(r, "tile", parameters, names))
        return false;
    for (int i = 0; names[i]; i++)
        if (!get_int32(r, parameters, names[i], INT32_MIN, INT32_MAX, &tile->parameters[i]))
            return false;
    return clattn_tile_in_space(tile, why, sizeof(why)) || no(r, "tile: %s", why);
}

/* What entries and faults share. */
static bool read_candidate(reader *r, json_t *object, clattn_tuning_class *of, clattn_tile *tile, int32_t *split_size)
{
    const char *kernel = json_string_value(json_object_get(object, "kernel"));
    const char *fragment = json_string_value(json_object_get(object, "fragment"));
    if (!kernel || !fragment)
        return no(r, "%s is no string", kernel ? "fragment" : "kernel");
    of->algorithm = clattn_algorithm_named(kernel);
    if (of->algorithm == CLATTN_ALGORITHM_COUNT)
        return no(r, "kernel is \"%.64s\", which this version does not tune", kernel);
    of->fragment = clattn_fragment_of_kernel(of->algorithm, fragment);
    if (of->fragment == CLATTN_FRAGMENT_COUNT)
        return no(r, "fragment is \"%.64s\", which %s does not have", fragment, kernel);
    tile->algorithm = of->algorithm;
    tile->fragment = of->fragment;
    const int32_t most = of->algorithm == CLATTN_ALGORITHM_DECODE ? CLATTN_MAX_COUNT : 0;
    return read_class(r, json_object_get(object, "class"), of) && read_tile(r, json_object_get(object, "tile"), tile) &&
           get_int32(r, object, "split_size", 0, most, split_size);
}

static bool read_entry(reader *r, json_t *object, clattn_record_entry *entry)
{
    return check_object(r, "the entry", object, entry_keys) &&
           read_candidate(r, object, &entry->class, &entry->tile, &entry->split_size) &&
           get_string(r, object, "driver", &entry->driver) && get_string(r, object, "library", &entry->library) &&
           get_string(r, object, "kernels", &entry->kernels) && get_string(r, object, "date", &entry->date) &&
           check_date(r, entry->date) && get_seconds(r, object, "seconds", &entry->seconds) &&
           get_seconds(r, object, "default_seconds", &entry->default_seconds) &&
           get_int32(r, object, "points", 1, INT32_MAX, &entry->points) &&
           get_bool(r, object, "exhaustive", &entry->exhaustive);
}

static bool read_fault(reader *r, json_t *object, clattn_record_fault *fault)
{
    return check_object(r, "the fault", object, fault_keys) &&
           read_candidate(r, object, &fault->class, &fault->tile, &fault->split_size) &&
           get_string(r, object, "driver", &fault->driver) && get_string(r, object, "kernels", &fault->kernels) &&
           get_string(r, object, "fault", &fault->fault);
}

static bool take_entry(reader *r, json_t *object, int line)
{
    clattn_record_entry entry = { .line = line };
    bool right = read_entry(r, object, &entry);
    const clattn_record_entry *twin = right ? clattn_record_find(r->record, &entry.class) : NULL;
    if (twin) {
        no(r, "line %d has the same class; the last one counts", line);
        refuse(r, twin->line);
    }
    if (right && !clattn_record_set_entry(r->record, &entry))
        right = no(r, "no memory for the entry");
    free(entry.driver);
    free(entry.library);
    free(entry.kernels);
    free(entry.date);
    return right;
}

/* The same candidate twice is no conflict: either way it is not tried again. */
static bool take_fault(reader *r, json_t *object, int line)
{
    clattn_record_fault fault = { .line = line };
    bool right = read_fault(r, object, &fault);
    if (right && !clattn_record_set_fault(r->record, &fault))
        right = no(r, "no memory for the fault");
    free(fault.driver);
    free(fault.kernels);
    free(fault.fault);
    return right;
}

static bool check_array(reader *r, const char *name, const json_t *array)
{
    if (!json_is_array(array))
        return no(r, "%s is no array", name);
    const size_t count = json_array_size(array);
    return count <= MAX_ELEMENTS || no(r, "%s has %zu elements; at most %d are read", name, count, MAX_ELEMENTS);
}

/* Takes what is right of the array, and refuses the rest. False: nothing can be. */
static bool read_array(reader *r, const char *name, json_t *array, bool (*take)(reader *, json_t *, int))
{
    const size_t count = json_array_size(array);
    int *lines = calloc(count ? count : 1, sizeof(*lines));
    if (!lines)
        return no(r, "no memory for %s", name);
    clattn_record_lines(r->text, r->size, name, lines, count);
    for (size_t i = 0; i < count; i++)
        if (!take(r, json_array_get(array, i), lines[i]))
            refuse(r, lines[i]);
    free(lines);
    return true;
}

static bool read_device(reader *r, json_t *object, clattn_record_device *device)
{
    static const char *const types[] = { "cpu", "gpu", "accelerator", "custom", NULL };
    const bool right =
        check_object(r, "device", object, device_keys) && get_string(r, object, "platform", &device->platform) &&
        get_string(r, object, "name", &device->name) && get_string(r, object, "vendor", &device->vendor) &&
        get_string(r, object, "type", &device->type) && get_string(r, object, "architecture", &device->architecture) &&
        get_string(r, object, "isa", &device->isa) &&
        get_integer(r, object, "compute_units", 0, UINT32_MAX, &device->compute_units) &&
        get_integer(r, object, "cache_bytes", 0, INT64_MAX, &device->cache_bytes) &&
        get_integer(r, object, "vector_width", 0, UINT32_MAX, &device->vector_width);
    if (right && !is_among(device->type, types))
        return no(r, "the device's type is \"%.64s\"; it has to be cpu, gpu, accelerator or custom", device->type);
    return right;
}

/* Before the keys: a later schema may have other ones. */
static bool check_schema(reader *r, json_t *root)
{
    json_t *schema = json_object_get(root, "schema");
    if (!json_is_object(root))
        return no(r, "the file is no JSON object");
    if (!json_is_integer(schema))
        return no(r, "the file has no schema that is an integer");
    return json_integer_value(schema) == CLATTN_RECORD_SCHEMA ||
           no(r, "schema is %" JSON_INTEGER_FORMAT "; this version reads %d", json_integer_value(schema),
              CLATTN_RECORD_SCHEMA);
}

static bool read_root(reader *r, json_t *root)
{
    json_t *entries = json_object_get(root, "entries"), *faults = json_object_get(root, "faults");
    return check_schema(r, root) && check_object(r, "the file", root, record_keys) &&
           read_device(r, json_object_get(root, "device"), &r->record->device) && check_array(r, "entries", entries) &&
           check_array(r, "faults", faults) && read_array(r, "entries", entries, take_entry) &&
           read_array(r, "faults", faults, take_fault);
}

bool clattn_record_parse(const char *path, const char *text, size_t size, clattn_record_refusal refusal, void *user,
                         clattn_record *out)
{
    reader r = { .path = path, .text = text, .size = size, .refusal = refusal, .user = user, .record = out };
    json_error_t error;
    *out = (clattn_record){ 0 };
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    const bool right = root ? read_root(&r, root) : no(&r, "it is no JSON: %s", error.text);
    if (!right) {
        refuse(&r, root || error.line < 0 ? 0 : error.line);
        clattn_record_free(out);
    }
    json_decref(root);
    return right;
}

bool clattn_record_read(const char *path, clattn_record_refusal refusal, void *user, clattn_record *out)
{
    char *text = NULL, reason[CLATTN_ERRNO_TEXT_SIZE];
    size_t size = 0;
    *out = (clattn_record){ 0 };
    const int error = clattn_file_read(path, CLATTN_RECORD_MAX_BYTES, &text, &size);
    if (error) {
        if (refusal)
            refusal(user, path, 0, clattn_errno_text(error, reason));
        return false;
    }
    const bool right = clattn_record_parse(path, text, size, refusal, user, out);
    free(text);
    return right;
}
