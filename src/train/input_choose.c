/*
 * input_choose.c: which preprocessing each input column gets.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "store/json.h"
#include "train/input.h"

static void
bad_preparation(const char *column, const char *given)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("unrecognized preprocessing %s for column \"%s\"", given, column),
		 errhint(
			 "Valid are \"standardize\", \"min_max\", \"log1p\", \"none\", \"one_hot\", "
			 "\"code\", {\"embedding\": n}, or {\"as\": one of these, \"fold\": true}.")));
}

static void
read_preparation(SlInput *input, const JsonbValue *value)
{
	JsonbValue *field;
	int prep;

	if (value->type == jbvString)
	{
		prep = sl_prep_find(sl_json_cstring(value));
		if (prep < 0)
			bad_preparation(input->name, psprintf("\"%s\"", sl_json_cstring(value)));
		input->prep = (SlPrep) prep;
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		bad_preparation(input->name, psprintf("of JSON type %s", sl_json_type(value)));
	if (sl_json_get(value->val.binary.data, "as") == NULL &&
		sl_json_get(value->val.binary.data, "embedding") == NULL)
		bad_preparation(input->name, "without \"as\" or \"embedding\"");
	field = sl_json_get(value->val.binary.data, "as");
	if (field != NULL && field->type != jbvString)
		bad_preparation(input->name, psprintf("of JSON type %s", sl_json_type(field)));
	if (field != NULL)
		read_preparation(input, field);
	field = sl_json_get(value->val.binary.data, "embedding");
	if (field != NULL)
	{
		double dim = field->type == jbvNumeric ? sl_json_number(field) : 0;

		if (!(dim >= 1 && dim <= 4096) || dim != floor(dim))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg(
					 "the embedding of column \"%s\" must have from 1 to 4096 dimensions",
					 input->name)));
		input->prep = SL_PREP_EMBEDDING;
		input->dim = (int) dim;
	}
	field = sl_json_get(value->val.binary.data, "fold");
	if (field != NULL && field->type != jbvBool)
		bad_preparation(input->name, "with a \"fold\" that is not true or false");
	if (field != NULL)
		input->fold = field->val.boolean;
	for (JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);;)
	{
		JsonbValue key;
		JsonbIteratorToken token = JsonbIteratorNext(&it, &key, true);
		char *name;

		if (token == WJB_END_OBJECT)
			break;
		if (token != WJB_KEY)
			continue;
		name = sl_json_cstring(&key);
		if (strcmp(name, "as") != 0 && strcmp(name, "embedding") != 0 &&
			strcmp(name, "fold") != 0)
			bad_preparation(input->name, psprintf("\"%s\"", name));
	}
}

/* Every key of columns must be an input: a misspelt one would be ignored silently. */
static void
check_columns(Jsonb *columns, int count, char **names, const SlRole *roles)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue key;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		bool known = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < count; i++)
			known |= roles[i] != SL_ROLE_TARGET &&
					 strcmp(names[i], sl_json_cstring(&key)) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"columns\" names \"%s\", which is not an input",
							sl_json_cstring(&key)),
					 errhint("Name it in static, known or observed too.")));
	}
}

static void
choose_default(SlInput *input, const SlValueReader *reader, const SlOptions *options)
{
	bool unit = sl_options_arch(options)->unit_inputs;

	if (input->role == SL_ROLE_ITEM)
		input->prep = SL_PREP_EMBEDDING;
	else if (!sl_value_is_number(reader))
		input->prep = unit ? SL_PREP_ONE_HOT : SL_PREP_EMBEDDING;
	else if (reader->kind == SL_VALUE_BOOL || !options->standardize ||
			 input->role == SL_ROLE_TARGET)
		input->prep = SL_PREP_NONE;
	else
		input->prep = unit ? SL_PREP_MIN_MAX : SL_PREP_STANDARDIZE;
}

static void
check_chosen(const SlInput *input, const SlValueReader *reader)
{
	if (input->role == SL_ROLE_ITEM && input->prep != SL_PREP_EMBEDDING)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the item column \"%s\" can't be prepared by \"%s\"",
							   input->name, sl_prep_name(input->prep)),
						errhint("Items take {\"embedding\": n}.")));
	if (!sl_input_has_vocabulary(input) && !sl_value_is_number(reader))
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of type %s can't be prepared by \"%s\"", input->name,
					format_type_be(reader->type), sl_prep_name(input->prep)),
			 errhint("Text columns take \"one_hot\", \"code\" or {\"embedding\": n}.")));
}

SlInputs *
sl_inputs_choose(int count, char **names, const SlRole *roles,
				 const SlValueReader *readers, const SlOptions *options)
{
	SlInputs *inputs = palloc0(sizeof(SlInputs));
	Jsonb *columns = options->columns;

	if (columns != NULL)
		check_columns(columns, count, names, roles);
	inputs->count = count;
	inputs->input = palloc0(sizeof(SlInput) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		SlInput *input = &inputs->input[i];
		JsonbValue *asked = columns ? sl_json_get(&columns->root, names[i]) : NULL;

		input->name = names[i];
		input->role = roles[i];
		input->scale = 1;
		choose_default(input, &readers[i], options);
		if (asked != NULL)
			read_preparation(input, asked);
		check_chosen(input, &readers[i]);
		if (sl_input_has_vocabulary(input))
			input->vocabulary = sl_vocabulary_create();
		else if (roles[i] == SL_ROLE_OBSERVED)
			input->indicator = options->horizon != 0; /* the future hides it */
		else if (roles[i] == SL_ROLE_TARGET)
			input->indicator = options->past_skips == SL_PAST_SKIPS_COLUMN ||
							   options->past_skips == SL_PAST_SKIPS_BOTH;
	}
	return inputs;
}
