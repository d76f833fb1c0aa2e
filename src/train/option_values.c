/*
 * option_values.c: one option's value from JSON and back.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "store/json.h"
#include "train/option_table.h"

/* Numbers of an array (or one bare number) into out[max_count]; returns how many. */
static int
read_numbers(const SlOption *option, const JsonbValue *value, double *out, int max_count,
			 bool whole)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue element;
	int count = 0;

	if (value->type == jbvNumeric)
	{
		out[0] = sl_option_number(option->key, value, option->min, option->max, whole);
		return 1;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		sl_option_wrong_type(option->key, "a number or an array of numbers", value);
	it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorNext(&it, &element, true);
	while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_END_ARRAY)
	{
		if (count == max_count)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" has more than %d elements", option->key,
								   max_count)));
		out[count++] =
			sl_option_number(option->key, &element, option->min, option->max, whole);
	}
	if (count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must not be empty", option->key)));
	return count;
}

static void
read_hidden(SlOptions *options, const SlOption *option, const JsonbValue *value)
{
	double width[SL_MAX_LAYERS];

	options->layers = read_numbers(option, value, width, SL_MAX_LAYERS, true);
	for (int i = 0; i < options->layers; i++)
		options->hidden[i] = (int) width[i];
}

static void
read_levels(SlOptions *options, const SlOption *option, const JsonbValue *value)
{
	options->quantiles =
		read_numbers(option, value, options->quantile, SL_MAX_QUANTILES, false);
	for (int i = 0; i < options->quantiles; i++)
		if (!(options->quantile[i] > (i ? options->quantile[i - 1] : 0) &&
			  options->quantile[i] < 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"quantiles\" must rise strictly between 0 and 1"),
					 errhint("For example [0.1, 0.5, 0.9].")));
}

static void
require_object(const char *key, const JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		sl_option_wrong_type(key, "an object", value);
}

static void
read_horizon(SlOptions *options, const SlOption *option, const JsonbValue *value)
{
	if (value->type == jbvString && strcmp(sl_json_cstring(value), "half") == 0)
		options->horizon = SL_HORIZON_HALF;
	else if (value->type == jbvNumeric)
		options->horizon =
			(int) sl_option_number(option->key, value, option->min, option->max, true);
	else
		sl_option_wrong_type(option->key, "a whole number or \"half\"", value);
}

/* Refuses what can't be the name of a column, or is named already. */
static void
check_new(const List *list, const char *name, const char *key)
{
	ListCell *cell;

	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("option \"%s\" holds no name of a column: \"%s\"", key, name)));
	foreach (cell, list)
		if (strcmp(lfirst(cell), name) == 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("option \"%s\" names \"%s\" twice", key, name)));
}

static void
read_list(List **list, const SlOption *option, const JsonbValue *value)
{
	JsonbIterator *it;
	JsonbValue element;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		sl_option_wrong_type(option->key, "an array of texts", value);
	*list = NIL;
	it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorNext(&it, &element, true);
	while (JsonbIteratorNext(&it, &element, true) != WJB_END_ARRAY)
	{
		char *text;

		if (element.type != jbvString)
			sl_option_wrong_type(option->key, "an array of texts", &element);
		text = sl_json_cstring(&element);
		check_new(*list, text, option->key);
		*list = lappend(*list, text);
	}
}

static char *
read_text(const SlOption *option, const JsonbValue *value)
{
	char *text;

	if (value->type != jbvString)
		sl_option_wrong_type(option->key, "a text", value);
	text = sl_json_cstring(value);
	if (text[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must not be empty", option->key)));
	return text;
}

void
sl_train_option_read(void *given, const SlOption *option, const JsonbValue *value)
{
	SlOptions *options = given;

	switch (option->kind)
	{
		case OPT_HIDDEN:
			read_hidden(options, option, value);
			break;
		case OPT_LEVELS:
			read_levels(options, option, value);
			break;
		case OPT_STANDARDIZE:
			options->mixed =
				value->type == jbvString && strcmp(sl_json_cstring(value), "mixed") == 0;
			if (value->type != jbvBool && !options->mixed)
				sl_option_wrong_type(option->key, "true, false or \"mixed\"", value);
			options->standardize = !options->mixed && value->val.boolean;
			break;
		case OPT_COLUMNS:
			require_object(option->key, value);
			options->columns = JsonbValueToJsonb(unconstify(JsonbValue *, value));
			break;
		case OPT_BY_CLUSTER:
			require_object(option->key, value);
			options->by_cluster = JsonbValueToJsonb(unconstify(JsonbValue *, value));
			break;
		case OPT_SPLIT:
			require_object(option->key, value);
			sl_split_read(&options->split, value->val.binary.data);
			break;
		case OPT_SEARCH:
			require_object(option->key, value); /* expanded by sl_options_search */
			break;
		case OPT_HORIZON:
			read_horizon(options, option, value);
			break;
		case OPT_LIST:
			read_list(SL_OPTION_FIELD(List *, options, option), option, value);
			break;
		case OPT_TEXT:
			*SL_OPTION_FIELD(char *, options, option) = read_text(option, value);
			break;
		default:
			sl_option_read(options, option, value);
			break;
	}
}

static void
put_object(StringInfo out, Jsonb *object)
{
	if (object == NULL)
		appendStringInfoString(out, "{}");
	else
		JsonbToCString(out, &object->root, VARSIZE(object));
}

static void
put_names(StringInfo out, const char *key, const List *names)
{
	ListCell *cell;

	sl_json_put_key(out, key);
	appendStringInfoChar(out, '[');
	foreach (cell, names)
	{
		if (foreach_current_index(cell) > 0)
			appendStringInfoString(out, ", ");
		escape_json(out, lfirst(cell));
	}
	appendStringInfoChar(out, ']');
}

void
sl_train_option_write(StringInfo out, const SlOptions *options, const SlOption *option)
{
	switch (option->kind)
	{
		case OPT_HIDDEN:
			sl_json_put_key(out, option->key);
			for (int j = 0; j < options->layers; j++)
				appendStringInfo(out, "%s%d", j ? ", " : "[", options->hidden[j]);
			appendStringInfoChar(out, ']');
			break;
		case OPT_LEVELS:
			if (options->loss != SL_LOSS_QUANTILE && options->loss != SL_LOSS_WEIBULL)
				break;
			sl_json_put_key(out, option->key);
			for (int j = 0; j < options->quantiles; j++)
				appendStringInfo(out, "%s%.15g", j ? ", " : "[", options->quantile[j]);
			appendStringInfoChar(out, ']');
			break;
		case OPT_STANDARDIZE:
			sl_json_put_bool(out, option->key, options->standardize);
			break;
		case OPT_COLUMNS:
		case OPT_BY_CLUSTER:
			sl_json_put_key(out, option->key);
			put_object(out, *SL_OPTION_FIELD(Jsonb *const, options, option));
			break;
		case OPT_SPLIT:
			sl_json_put_key(out, option->key);
			appendStringInfoString(out, sl_split_text(&options->split));
			break;
		case OPT_SEARCH:
			break;
		case OPT_HORIZON:
			if (options->horizon == SL_HORIZON_HALF)
				sl_json_put_string(out, option->key, "half");
			else
				sl_json_put_double(out, option->key, options->horizon);
			break;
		case OPT_LIST:
			put_names(out, option->key, *SL_OPTION_FIELD(List *const, options, option));
			break;
		case OPT_TEXT:
			sl_json_put_key(out, option->key);
			if (*SL_OPTION_FIELD(char *const, options, option) == NULL)
				appendStringInfoString(out, "null");
			else
				escape_json(out, *SL_OPTION_FIELD(char *const, options, option));
			break;
		default:
			sl_option_write(out, options, option);
			break;
	}
}
