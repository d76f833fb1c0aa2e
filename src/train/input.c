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
static const char *const role_names[] = {"static", "known",	 "observed",
										 "item",   "target", NULL};

static int
index_of(const char *const *names, const char *name)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

int
sl_prep_find(const char *name)
{
	return index_of(prep_names, name);
}

const char *
sl_prep_name(SlPrep prep)
{
	return prep_names[prep];
}

int
sl_inputs_find(const SlInputs *inputs, SlRole role)
{
	for (int i = 0; i < inputs->count; i++)
		if (inputs->input[i].role == role)
			return i;
	return -1;
}

SlVocabulary *
sl_inputs_items(const SlInputs *inputs)
{
	int item = sl_inputs_find(inputs, SL_ROLE_ITEM);

	return item < 0 ? NULL : inputs->input[item].vocabulary;
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
		input->dim = Min(input->role == SL_ROLE_ITEM ? 64 : 32,
						 Max(2, (int) ceil(sqrt(sl_vocabulary_count(kept)))));
	pfree(count);
	pfree(renumbered);
}

/* Numeric features the input fills. */
static int
width_of(const SlInput *input)
{
	int texts = input->vocabulary ? sl_vocabulary_count(input->vocabulary) : 0;

	if (input->prep == SL_PREP_EMBEDDING)
		return 0;
	if (input->role == SL_ROLE_TARGET && !input->indicator)
		return 0;
	if (input->prep != SL_PREP_ONE_HOT)
		return 1 + (input->indicator ? 1 : 0);
	if (texts > MAX_ONE_HOT)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("column \"%s\" has %d values, too many for one_hot",
							   input->name, texts),
						errhint("Use {\"embedding\": n}, or raise min_count.")));
	return texts;
}

/* Places for the inputs of some roles; returns how many features they fill. */
static int
lay_out_roles(SlInputs *inputs, SlRole from, SlRole to)
{
	int before = inputs->width;

	for (int i = 0; i < inputs->count; i++)
	{
		SlInput *input = &inputs->input[i];

		if (input->role < from || input->role > to)
			continue;
		input->offset = inputs->width;
		input->width = width_of(input);
		inputs->width += input->width;
	}
	return inputs->width - before;
}

void
sl_inputs_lay_out(SlInputs *inputs)
{
	inputs->width = 0;
	inputs->embeddings = 0;
	inputs->known_width = lay_out_roles(inputs, SL_ROLE_STATIC, SL_ROLE_KNOWN);
	inputs->observed_width = lay_out_roles(inputs, SL_ROLE_OBSERVED, SL_ROLE_OBSERVED);
	inputs->target_width = lay_out_roles(inputs, SL_ROLE_ITEM, SL_ROLE_TARGET);
	for (int i = 0; i < inputs->count; i++)
	{
		SlInput *input = &inputs->input[i];

		input->slot = -1;
		if (input->prep != SL_PREP_EMBEDDING)
			continue;
		if (inputs->embeddings == SL_MAX_EMBEDDINGS)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("more than %d columns have an embedding",
								   SL_MAX_EMBEDDINGS)));
		input->slot = inputs->embeddings++;
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
	SlCellValue cell;

	if (isnull)
		return sl_input_missing(input);
	if (sl_input_has_vocabulary(input))
	{
		char *text = sl_value_label(reader, value, input->fold);

		cell.code = sl_vocabulary_code(input->vocabulary, text);
		pfree(text);
	}
	else if (input->role == SL_ROLE_TARGET)
		cell.number = sl_value_class(reader, value, input->name);
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
		else if (input->width > 0)
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

static int
inputs_of(const SlInputs *inputs, SlRole role)
{
	int n = 0;

	for (int i = 0; i < inputs->count; i++)
		n += inputs->input[i].role == role;
	return n;
}

void
sl_inputs_check(const SlInputs *inputs, const SlOptions *options)
{
	int items = inputs_of(inputs, SL_ROLE_ITEM);
	int targets = inputs_of(inputs, SL_ROLE_TARGET);
	int target = sl_inputs_find(inputs, SL_ROLE_TARGET);
	bool column = options->past_skips == SL_PAST_SKIPS_COLUMN ||
				  options->past_skips == SL_PAST_SKIPS_BOTH;

	if (items > 1 || (items == 0 && (options->task == SL_TASK_NEXT_ITEMS ||
									 options->item_features != NIL)))
		sl_damaged("its inputs have no item column, or several");
	if (targets != (options->task == SL_TASK_SKIP ? 1 : 0))
		sl_damaged("its inputs don't fit the task");
	if (targets > 0 && inputs->input[target].indicator != column)
		sl_damaged("its inputs don't fit past_skips");
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];

		if ((input->role == SL_ROLE_ITEM && input->prep != SL_PREP_EMBEDDING) ||
			(input->role == SL_ROLE_TARGET && input->prep != SL_PREP_NONE))
			sl_damaged("an input has a preprocessing that its role can't have");
	}
}

void
sl_inputs_to_spec(const SlInputs *inputs, SlNetSpec *spec)
{
	spec->inputs = inputs->width;
	spec->known_inputs = inputs->known_width;
	spec->observed_inputs = inputs->observed_width;
	spec->target_inputs = inputs->target_width;
	spec->embeddings = inputs->embeddings;
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];
		int slot = input->slot;

		if (input->prep != SL_PREP_EMBEDDING)
			continue;
		spec->vocabulary[slot] = sl_vocabulary_count(input->vocabulary) +
								 (input->role == SL_ROLE_ITEM ? (int) SL_ITEM_FIRST : 1);
		spec->embedding_dim[slot] = input->dim;
		spec->embedding_known[slot] = input->role != SL_ROLE_OBSERVED;
		strlcpy(spec->embedding_name[slot], input->name, SL_NAME_MAX);
		if (input->role == SL_ROLE_ITEM)
		{
			spec->has_item = true;
			spec->item = slot;
		}
	}
}
