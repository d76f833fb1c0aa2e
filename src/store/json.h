/*
 * json.h: reading and writing fields of jsonb objects by name and type.
 */
#ifndef SL_JSON_H
#define SL_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* The field, or NULL when it is missing or JSON null. */
extern JsonbValue *sl_json_get(JsonbContainer *object, const char *key);

/* "number", "string", ... for messages. */
extern const char *sl_json_type(const JsonbValue *value);

/* A number too large for a double is infinite: range checks refuse it by name. */
extern double sl_json_number(const JsonbValue *value);
extern char *sl_json_cstring(const JsonbValue *value);

/* Typed reads of what we stored ourselves: anything else means a damaged model. */
extern double sl_json_double(JsonbContainer *object, const char *key);
extern int sl_json_int(JsonbContainer *object, const char *key, int low, int high);
extern bool sl_json_bool(JsonbContainer *object, const char *key);
extern char *sl_json_string(JsonbContainer *object, const char *key);

/* Append "key": value; doubles with all their digits. */
extern void sl_json_put_double(StringInfo out, const char *key, double value);
extern void sl_json_put_bool(StringInfo out, const char *key, bool value);
extern void sl_json_put_string(StringInfo out, const char *key, const char *value);
/* Append "key": and leave the value to the caller. */
extern void sl_json_put_key(StringInfo out, const char *key);

extern Jsonb *sl_json_parse(const char *text);

/* Raises the error for stored model data that can't be right. */
extern _Noreturn void sl_damaged(const char *what);

#endif
