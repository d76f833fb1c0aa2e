/*
 * split_options.c: a split as JSON, in options and as stored.
 */
#include "postgres.h"

#include "store/json.h"
#include "train/options.h"

static void
read_split_field(SlSplit *split, const char *key, const JsonbValue *value)
{
	char *path = psprintf("split.%s", key);

	if (strcmp(key, "by") == 0)
	{
		char *name;

		if (value->type != jbvString)
			sl_option_wrong_type(path, "a string", value);
		name = sl_json_cstring(value);
		for (int i = 0; sl_split_name(i) != NULL; i++)
			if (strcmp(sl_split_name(i), name) == 0)
			{
				split->by = (SlSplitBy) i;
				return;
			}
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized value \"%s\" for option \"%s\"", name, path),
						errhint("Valid values are: user_tail, user, time, column.")));
	}
	else if (strcmp(key, "validation") == 0)
		split->validation = sl_option_number(path, value, 0, 0.9, false);
	else if (strcmp(key, "test") == 0)
		split->test = sl_option_number(path, value, 0, 0.9, false);
	else if (strcmp(key, "tail") == 0)
		split->tail = sl_option_number(path, value, 0.01, 1, false);
	else if (strcmp(key, "seed") == 0)
		split->seed = (uint64) (int64) sl_option_number(path, value, -9007199254740992.0,
														9007199254740992.0, true);
	else if (strcmp(key, "column") == 0 || strcmp(key, "validation_from") == 0 ||
			 strcmp(key, "test_from") == 0)
	{
		if (value->type != jbvString)
			sl_option_wrong_type(path, "a string", value);
		if (key[0] == 'c')
			split->column = sl_json_cstring(value);
		else if (key[0] == 'v')
			split->validation_from = sl_json_cstring(value);
		else
			split->test_from = sl_json_cstring(value);
	}
	else
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%s\"", path),
			 errhint("Valid keys of split are: by, validation, test, tail, seed, column, "
					 "validation_from, test_from.")));
}

void
sl_split_read(SlSplit *split, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue value;

	JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) == WJB_KEY)
	{
		char *key = sl_json_cstring(&value);

		JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull)
			read_split_field(split, key, &value);
	}
	if (split->validation + split->test > 0.95)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split.validation and split.test leave too few rows to train"),
				 errdetail("They add up to %g.", split->validation + split->test)));
	if (split->by == SL_SPLIT_COLUMN && split->column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a split by column needs split.column"),
				 errhint("Name a text column that says train, validation or test.")));
}

char *
sl_split_text(const SlSplit *split)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	sl_json_put_string(&out, "by", sl_split_name(split->by));
	sl_json_put_double(&out, "validation", split->validation);
	sl_json_put_double(&out, "test", split->test);
	sl_json_put_double(&out, "tail", split->tail);
	sl_json_put_double(&out, "seed", (double) (int64) split->seed);
	if (split->column)
		sl_json_put_string(&out, "column", split->column);
	if (split->validation_from)
		sl_json_put_string(&out, "validation_from", split->validation_from);
	if (split->test_from)
		sl_json_put_string(&out, "test_from", split->test_from);
	appendStringInfoChar(&out, '}');
	return out.data;
}
