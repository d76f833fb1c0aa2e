#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"

#include "store/json.h"
#include "train/input.h"

#define MAX_ONE_HOT 4096

static const char *const prep_names[] = {"none", "standardize", "min_max",	 "log1p",
										 "code", "one_hot",		"embedding", NULL};
static const char *const role_names[] = {"static", "known", "observed", NULL};

static int
index_of(const char *const *names, const char *name)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

bool
sl_input_has_vocabulary(const SlInput *input)
{
	return input->prep >= SL_PREP_CODE;
}

/* ---- choosing ---- */

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
		prep = index_of(prep_names, sl_json_cstring(value));
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
check_columns(Jsonb *columns, int count, char **names)
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
			known |= strcmp(names[i], sl_json_cstring(&key)) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"columns\" names \"%s\", which is not an input",
							sl_json_cstring(&key)),
					 errhint("Name it in static, known or observed too.")));
	}
}

SlInputs *
sl_inputs_choose(int count, char **names, const SlRole *roles,
				 const SlValueReader *readers, Jsonb *columns, bool standardize)
{
	SlInputs *inputs = palloc0(sizeof(SlInputs));

	if (columns != NULL)
		check_columns(columns, count, names);
	inputs->count = count;
	inputs->input = palloc0(sizeof(SlInput) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		SlInput *input = &inputs->input[i];
		JsonbValue *asked = columns ? sl_json_get(&columns->root, names[i]) : NULL;

		input->name = names[i];
		input->role = roles[i];
		input->scale = 1;
		if (!sl_value_is_number(&readers[i]))
			input->prep = SL_PREP_EMBEDDING;
		else if (readers[i].kind == SL_VALUE_BOOL || !standardize)
			input->prep = SL_PREP_NONE;
		else
			input->prep = SL_PREP_STANDARDIZE;
		if (asked != NULL)
			read_preparation(input, asked);
		if (!sl_input_has_vocabulary(input) && !sl_value_is_number(&readers[i]))
			ereport(
				ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s can't be prepared by \"%s\"", names[i],
						format_type_be(readers[i].type), prep_names[input->prep]),
				 errhint(
					 "Text columns take \"one_hot\", \"code\" or {\"embedding\": n}.")));
		if (sl_input_has_vocabulary(input))
			input->vocabulary = sl_vocabulary_create();
	}
	return inputs;
}

/* ---- fitting ---- */

static double
shaped(const SlInput *input, double value)
{
	return input->prep == SL_PREP_LOG1P ? copysign(log1p(fabs(value)), value) : value;
}

/* Mean and scale from moments; a constant column keeps scale 1 and becomes 0. */
static void
set_scale(SlInput *input, double mean, double deviation)
{
	input->mean = mean;
	input->scale = deviation > 1e-12 * fmax(1, fabs(mean)) ? deviation : 1;
}

void
sl_input_fit_number(SlInput *input, const float *value, const bool *use, int64 rows)
{
	int64 n = 0;
	double mean = 0;
	double m2 = 0;
	double low = INFINITY;
	double high = -INFINITY;

	for (int64 i = 0; i < rows; i++)
	{
		double v;
		double step;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (!use[i])
			continue;
		if (isnan(value[i]))
		{
			input->indicator = true;
			continue;
		}
		v = shaped(input, value[i]);
		step = v - mean; /* Welford */
		mean += step / ++n;
		m2 += step * (v - mean);
		low = fmin(low, v);
		high = fmax(high, v);
	}
	if (n == 0)
		return;
	if (input->prep == SL_PREP_STANDARDIZE || input->prep == SL_PREP_LOG1P)
		set_scale(input, mean, sqrt(m2 / n));
	else if (input->prep == SL_PREP_MIN_MAX)
		set_scale(input, low, high - low);
}

typedef struct Count
{
	int code;
	int64 rows;
	const char *text;
} Count;

/* Most frequent first; equally frequent in byte order, so that codes are reproducible. */
static int
by_count(const void *a, const void *b)
{
	const Count *x = a;
	const Count *y = b;

	if (x->rows != y->rows)
		return x->rows > y->rows ? -1 : 1;
	return strcmp(x->text, y->text);
}

void
sl_input_fit_text(SlInput *input, int32 *code, const bool *use, int64 rows, int min_count)
{
	int texts = sl_vocabulary_count(input->vocabulary);
	Count *count = palloc_extended(sizeof(Count) * ((Size) texts + 1), MCXT_ALLOC_HUGE);
	int32 *renumbered = palloc_extended(sizeof(int32) * ((Size) texts + 1),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	SlVocabulary *kept = sl_vocabulary_create();
	double sum = 0;
	double squares = 0;
	int64 n = 0;

	for (int c = 1; c <= texts; c++)
		count[c - 1] = (Count){c, 0, sl_vocabulary_text(input->vocabulary, c)};
	for (int64 i = 0; i < rows; i++)
		if (use[i] && code[i] > 0)
			count[code[i] - 1].rows++;
	qsort(count, texts, sizeof(Count), by_count);
	for (int c = 0; c < texts && count[c].rows >= min_count; c++)
		renumbered[count[c].code] = sl_vocabulary_add(kept, count[c].text);
	for (int64 i = 0; i < rows; i++)
	{
		code[i] = renumbered[code[i]];
		if (use[i])
		{
			sum += code[i];
			squares += (double) code[i] * code[i];
			n++;
		}
	}
	sl_vocabulary_free(input->vocabulary);
	input->vocabulary = kept;
	if (input->prep == SL_PREP_CODE && n > 0)
		set_scale(input, sum / n, sqrt(fmax(0, squares / n - sum / n * (sum / n))));
	if (input->prep == SL_PREP_EMBEDDING && input->dim == 0)
		input->dim = Min(32, Max(2, (int) ceil(sqrt(sl_vocabulary_count(kept)))));
	pfree(count);
	pfree(renumbered);
}

void
sl_inputs_lay_out(SlInputs *inputs)
{
	inputs->width = 0;
	inputs->embeddings = 0;
	for (int i = 0; i < inputs->count; i++)
	{
		SlInput *input = &inputs->input[i];
		int texts = input->vocabulary ? sl_vocabulary_count(input->vocabulary) : 0;

		input->slot = -1;
		input->offset = inputs->width;
		input->width = 1 + (input->indicator ? 1 : 0);
		if (input->prep == SL_PREP_ONE_HOT)
		{
			if (texts > MAX_ONE_HOT)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("column \"%s\" has %d values, too many for one_hot",
								input->name, texts),
						 errhint("Use {\"embedding\": n}, or raise min_count.")));
			input->width = texts;
		}
		else if (input->prep == SL_PREP_EMBEDDING)
		{
			if (inputs->embeddings == SL_MAX_EMBEDDINGS)
				ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
								errmsg("more than %d columns have an embedding",
									   SL_MAX_EMBEDDINGS)));
			input->width = 0;
			input->slot = inputs->embeddings++;
		}
		inputs->width += input->width;
	}
}

/* ---- applying ---- */

SlCellValue
sl_input_missing(const SlInput *input)
{
	SlCellValue cell;

	if (sl_input_has_vocabulary(input))
		cell.code = 0;
	else
		cell.number = NAN;
	return cell;
}

SlCellValue
sl_input_cell(const SlInput *input, SlValueReader *reader, Datum value, bool isnull)
{
	SlCellValue cell = sl_input_missing(input);

	if (isnull)
		return cell;
	if (sl_input_has_vocabulary(input))
	{
		char *text = sl_value_label(reader, value, input->fold);

		cell.code = sl_vocabulary_code(input->vocabulary, text);
		pfree(text);
	}
	else
		cell.number = sl_value_number(reader, value, input->name);
	return cell;
}

void
sl_inputs_apply(const SlInputs *inputs, const SlCellValue *cell, float *x, int32 *code)
{
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];
		float *out = x + input->offset;

		if (input->prep == SL_PREP_EMBEDDING)
			code[input->slot] = cell[i].code;
		else if (input->prep == SL_PREP_ONE_HOT)
		{
			memset(out, 0, sizeof(float) * input->width);
			if (cell[i].code > 0)
				out[cell[i].code - 1] = 1;
		}
		else
		{
			double v = input->prep == SL_PREP_CODE ? cell[i].code : cell[i].number;
			bool missing = isnan(v);

			out[0] =
				missing ? 0 : (float) ((shaped(input, v) - input->mean) / input->scale);
			if (!isfinite(out[0]))
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("a value of column \"%s\" is out of range", input->name),
						 errdetail("%g leaves single precision.", v)));
			if (input->indicator)
				out[1] = missing;
		}
	}
}

/* ---- storing ---- */

char *
sl_inputs_text(const SlInputs *inputs)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];

		appendStringInfoString(&out, i ? ", {" : "{");
		sl_json_put_string(&out, "column", input->name);
		sl_json_put_string(&out, "role", role_names[input->role]);
		sl_json_put_string(&out, "as", prep_names[input->prep]);
		sl_json_put_bool(&out, "fold", input->fold);
		sl_json_put_bool(&out, "indicator", input->indicator);
		sl_json_put_double(&out, "mean", input->mean);
		sl_json_put_double(&out, "scale", input->scale);
		sl_json_put_double(&out, "dim", input->dim);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

static void
parse_input(SlInput *input, JsonbContainer *stored)
{
	int prep = index_of(prep_names, sl_json_string(stored, "as"));
	int role = index_of(role_names, sl_json_string(stored, "role"));

	if (prep < 0 || role < 0)
		sl_damaged("an input has an unknown role or preprocessing");
	input->name = sl_json_string(stored, "column");
	input->role = (SlRole) role;
	input->prep = (SlPrep) prep;
	input->fold = sl_json_bool(stored, "fold");
	input->indicator = sl_json_bool(stored, "indicator");
	input->mean = sl_json_double(stored, "mean");
	input->scale = sl_json_double(stored, "scale");
	input->dim = sl_json_int(stored, "dim", 0, 4096);
	if (!isfinite(input->mean) || !isfinite(input->scale) || !(input->scale > 0))
		sl_damaged("an input has an impossible scale");
	if (input->prep == SL_PREP_EMBEDDING && input->dim == 0)
		sl_damaged("an embedding has no dimensions");
	if (sl_input_has_vocabulary(input))
		input->vocabulary = sl_vocabulary_create();
}

SlInputs *
sl_inputs_parse(Jsonb *stored)
{
	SlInputs *inputs = palloc0(sizeof(SlInputs));
	JsonbIterator *it = JsonbIteratorInit(&stored->root);
	JsonbValue element;
	int i = 0;

	if (!JB_ROOT_IS_ARRAY(stored))
		sl_damaged("inputs are not an array");
	/* more columns than a row can have would be one named again and again */
	if (JB_ROOT_COUNT(stored) > MaxTupleAttributeNumber)
		sl_damaged("there are too many inputs");
	inputs->count = JB_ROOT_COUNT(stored);
	inputs->input = palloc0(sizeof(SlInput) * Max(inputs->count, 1));
	JsonbIteratorNext(&it, &element, true);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		if (element.type != jbvBinary || !JsonContainerIsObject(element.val.binary.data))
			sl_damaged("an input is not an object");
		parse_input(&inputs->input[i++], element.val.binary.data);
	}
	return inputs;
}

void
sl_inputs_to_spec(const SlInputs *inputs, SlNetSpec *spec)
{
	spec->inputs = inputs->width;
	spec->embeddings = inputs->embeddings;
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];

		if (input->prep != SL_PREP_EMBEDDING)
			continue;
		spec->vocabulary[input->slot] = sl_vocabulary_count(input->vocabulary) + 1;
		spec->embedding_dim[input->slot] = input->dim;
		strlcpy(spec->embedding_name[input->slot], input->name, SL_NAME_MAX);
	}
}
