/*
 * option.c: see option.h.
 */
#include "postgres.h"

#include <math.h>

#include "option.h"
#include "store/json.h"

const SlOption *
sl_option_find(const SlOption *table, const char *key)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (const SlOption *option = table; option->key != NULL; option++)
	{
		if (strcmp(option->key, key) == 0)
			return option;
		appendStringInfo(&valid, "%s%s", option > table ? ", " : "", option->key);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized option \"%s\"", key),
					errhint("Valid options are: %s.", valid.data)));
}

char *
sl_option_names(const SlOption *option)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; option->name(i) != NULL; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", option->name(i));
	return list.data;
}

void
sl_option_wrong_type(const char *key, const char *wanted, const JsonbValue *value)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" must be %s", key, wanted),
					errdetail("It is of JSON type %s.", sl_json_type(value))));
}

double
sl_option_number(const char *key, const JsonbValue *value, double min, double max,
				 bool whole)
{
	double number;

	if (value->type != jbvNumeric)
		sl_option_wrong_type(key, whole ? "a whole number" : "a number", value);
	number = sl_json_number(value);
	if (!(number >= min && number <= max) || (whole && number != floor(number)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must be %s from %.16g to %.16g", key,
							   whole ? "a whole number" : "a number", min, max),
						errdetail("It is %.15g.", number)));
	return number;
}

static int
read_name(const SlOption *option, const JsonbValue *value)
{
	char *given;

	if (value->type != jbvString)
		sl_option_wrong_type(option->key, "a string", value);
	given = sl_json_cstring(value);
	for (int i = 0; option->name(i) != NULL; i++)
		if (strcmp(option->name(i), given) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", given, option->key),
			 errhint("Valid values are: %s.", sl_option_names(option))));
}

void
sl_option_read(void *options, const SlOption *option, const JsonbValue *value)
{
	switch (option->kind)
	{
		case OPT_INT:
			*SL_OPTION_FIELD(int, options, option) = (int) sl_option_number(
				option->key, value, option->min, option->max, true);
			break;
		case OPT_INT64:
			*SL_OPTION_FIELD(int64, options, option) = (int64) sl_option_number(
				option->key, value, option->min, option->max, true);
			break;
		case OPT_REAL:
			*SL_OPTION_FIELD(double, options, option) =
				sl_option_number(option->key, value, option->min, option->max, false);
			break;
		case OPT_BOOL:
			if (value->type != jbvBool)
				sl_option_wrong_type(option->key, "true or false", value);
			*SL_OPTION_FIELD(bool, options, option) = value->val.boolean;
			break;
		case OPT_NAME:
			*SL_OPTION_FIELD(int, options, option) = read_name(option, value);
			break;
	}
}

void
sl_options_read_object(void *options, const SlOption *table, Jsonb *given,
					   SlOptionReader *read, const char *example)
{
	JsonbIterator *it;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object"),
						errhint("For example '%s'.", example)));
	it = JsonbIteratorInit(&given->root);
	JsonbIteratorNext(&it, &value, true);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		const SlOption *option = sl_option_find(table, sl_json_cstring(&value));

		JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull)
			read(options, option, &value);
	}
}

void
sl_option_write(StringInfo out, const void *options, const SlOption *option)
{
	switch (option->kind)
	{
		case OPT_INT:
			sl_json_put_key(out, option->key);
			if (*SL_OPTION_FIELD(const int, options, option) < option->min)
				appendStringInfoString(out, "null"); /* not given */
			else
				appendStringInfo(out, "%d", *SL_OPTION_FIELD(const int, options, option));
			break;
		case OPT_INT64:
			sl_json_put_double(out, option->key,
							   *SL_OPTION_FIELD(const int64, options, option));
			break;
		case OPT_REAL:
			sl_json_put_double(out, option->key,
							   *SL_OPTION_FIELD(const double, options, option));
			break;
		case OPT_BOOL:
			sl_json_put_bool(out, option->key,
							 *SL_OPTION_FIELD(const bool, options, option));
			break;
		case OPT_NAME:
			sl_json_put_string(
				out, option->key,
				option->name(*SL_OPTION_FIELD(const int, options, option)));
			break;
	}
}

Jsonb *
sl_options_json(const void *options, const SlOption *table)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (const SlOption *option = table; option->key != NULL; option++)
		sl_option_write(&out, options, option);
	appendStringInfoChar(&out, '}');
	return sl_json_parse(out.data);
}
