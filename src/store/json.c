#include "postgres.h"

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "store/json.h"

void
sl_damaged(const char *what)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_DATA_CORRUPTED), errmsg("stored model is damaged: %s", what),
		 errhint("Deploy another version with sessionlen.deploy(), or train again.")));
}

JsonbValue *
sl_json_get(JsonbContainer *object, const char *key)
{
	JsonbValue *value;

	if (!JsonContainerIsObject(object))
		return NULL;
	value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
	return value == NULL || value->type == jbvNull ? NULL : value;
}

const char *
sl_json_type(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ? "array" : "object";
		default:
			return "array or object";
	}
}

double
sl_json_number(const JsonbValue *value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											  NumericGetDatum(value->val.numeric)));
}

char *
sl_json_cstring(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A field of the wanted type or an error. */
static JsonbValue *
stored_field(JsonbContainer *object, const char *key, enum jbvType type)
{
	JsonbValue *value = sl_json_get(object, key);

	if (value == NULL || value->type != type)
		sl_damaged(psprintf("field \"%s\" is missing or of the wrong type", key));
	return value;
}

double
sl_json_double(JsonbContainer *object, const char *key)
{
	return sl_json_number(stored_field(object, key, jbvNumeric));
}

int
sl_json_int(JsonbContainer *object, const char *key, int low, int high)
{
	double value = sl_json_double(object, key);

	if (!(value >= low && value <= high) || value != (int) value)
		sl_damaged(psprintf("field \"%s\" is out of range", key));
	return (int) value;
}

bool
sl_json_bool(JsonbContainer *object, const char *key)
{
	return stored_field(object, key, jbvBool)->val.boolean;
}

char *
sl_json_string(JsonbContainer *object, const char *key)
{
	return sl_json_cstring(stored_field(object, key, jbvString));
}

void
sl_json_put_key(StringInfo out, const char *key)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": ");
}

void
sl_json_put_double(StringInfo out, const char *key, double value)
{
	char digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(value, digits);
	sl_json_put_key(out, key);
	appendStringInfoString(out, digits);
}

void
sl_json_put_bool(StringInfo out, const char *key, bool value)
{
	sl_json_put_key(out, key);
	appendStringInfoString(out, value ? "true" : "false");
}

void
sl_json_put_string(StringInfo out, const char *key, const char *value)
{
	sl_json_put_key(out, key);
	escape_json(out, value);
}

Jsonb *
sl_json_parse(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}
