/*
 * options.c: one table of the options of train(): name, type, range, default, meaning.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "store/json.h"
#include "train/options.h"
#include "train/team.h"

PG_FUNCTION_INFO_V1(sl_options_list);

typedef enum OptionKind
{
	OPT_INT,
	OPT_INT64,
	OPT_REAL,
	OPT_BOOL,
	OPT_STANDARDIZE, /* true, false or "mixed" */
	OPT_NAME,		 /* one of a list of names, kept as its index */
	OPT_HIDDEN,		 /* a number or an array of numbers, one a layer */
	OPT_LEVELS,		 /* quantiles */
	OPT_COLUMNS,	 /* object: column -> preprocessing */
	OPT_BY_CLUSTER,	 /* object: cluster -> options */
	OPT_SPLIT,
	OPT_SEARCH
} OptionKind;

typedef struct Option
{
	const char *key;
	OptionKind kind;
	size_t offset;
	double min;
	double max;
	const char *(*name)(int); /* OPT_NAME */
	const char *fallback;	  /* default, as JSON text, for the list */
	const char *meaning;
} Option;

static const char *
init_name(int i)
{
	static const char *const names[] = {"keras", "torch", NULL};

	return names[i];
}

const char *
sl_target_transform_name(int i)
{
	static const char *const names[] = {"none", "log1p", "standardize", NULL};

	return names[i];
}

#define AT(field) offsetof(SlOptions, field)

static const Option option_table[] = {
	{"architecture", OPT_NAME, AT(architecture), 0, 0, sl_arch_name, "\"gru\"",
	 "the network"},
	{"hidden_dim", OPT_HIDDEN, AT(hidden), 1, 4096, NULL, "64",
	 "hidden units; an array gives one layer each"},
	{"dropout", OPT_REAL, AT(dropout), 0, 0.99, NULL, "0",
	 "probability of dropping a layer's output in training"},
	{"recurrent_dropout", OPT_REAL, AT(recurrent_dropout), 0, 0.99, NULL, "0",
	 "probability of dropping a hidden unit's way into the next step, for a whole sequence"},
	{"batch_size", OPT_INT, AT(batch_size), 1, 1 << 20, NULL, "32",
	 "sequences in a step"},
	{"sequence_length", OPT_INT, AT(sequence_length), 1, SL_MAX_STEPS, NULL, "32",
	 "rows of a sequence in a step; the state is carried on; 1: every row alone"},
	{"epochs", OPT_INT, AT(epochs), 1, 1000000, NULL, "20",
	 "passes over the training rows"},
	{"time_limit", OPT_REAL, AT(time_limit), 0, 1e9, NULL, "0",
	 "seconds after which training ends normally; 0: none"},
	{"patience", OPT_INT, AT(patience), 0, 1000000, NULL, "0",
	 "epochs without a better validation loss before training ends, best epoch kept; 0: never"},
	{"shuffle", OPT_BOOL, AT(shuffle), 0, 0, NULL, "true", "a new order in every epoch"},
	{"loss", OPT_NAME, AT(loss), 0, 0, sl_loss_name, "\"mae\"",
	 "what is minimised, on the transformed target"},
	{"quantiles", OPT_LEVELS, AT(quantile), 0, 1, NULL, "[0.1, 0.5, 0.9]",
	 "levels that the losses quantile and weibull predict"},
	{"optimizer", OPT_NAME, AT(optimizer), 0, 0, sl_optim_name, "\"adam\"",
	 "the optimiser"},
	{"learning_rate", OPT_REAL, AT(learning_rate), 1e-12, 1e3, NULL, "null",
	 "step size; default by optimiser, 0.001 for adam"},
	{"schedule", OPT_NAME, AT(schedule), 0, 0, sl_schedule_name, "\"cosine\"",
	 "how the learning rate changes over the run"},
	{"warmup", OPT_INT, AT(warmup), 0, 1 << 30, NULL, "0",
	 "steps in which the learning rate rises to its value"},
	{"clip_norm", OPT_REAL, AT(clip_norm), 0, 1e9, NULL, "1",
	 "largest norm of the gradient; 0: not clipped"},
	{"weight_decay", OPT_REAL, AT(weight_decay), 0, 1e3, NULL, "0",
	 "L2 penalty; decoupled with adamw"},
	{"standardize", OPT_STANDARDIZE, AT(standardize), 0, 0, NULL, "true",
	 "z-scores for numeric columns and the target, where columns or target_transform don't say otherwise; \"mixed\": in clusters of at most mixed_threshold users"},
	{"mixed_threshold", OPT_INT, AT(mixed_threshold), 0, 1 << 30, NULL, "200",
	 "training users up to which a cluster is standardised when standardize is mixed"},
	{"min_users", OPT_INT, AT(min_users), 1, 1 << 30, NULL, "31",
	 "training users a cluster needs to get a network of its own"},
	{"by_cluster", OPT_BY_CLUSTER, AT(by_cluster), 0, 0, NULL, "{}",
	 "options of single clusters' networks, such as {\"0\": {\"epochs\": 100}}"},
	{"target_transform", OPT_NAME, AT(target_transform), 0, 0, sl_target_transform_name,
	 "null",
	 "of the target before training, undone in predictions; default by standardize"},
	{"upper_percentile", OPT_REAL, AT(upper_percentile), 1, 100, NULL, "100",
	 "targets above it are left out of training, and only there"},
	{"min_count", OPT_INT, AT(min_count), 1, 1 << 30, NULL, "1",
	 "training rows a text value needs to get a code of its own"},
	{"columns", OPT_COLUMNS, AT(columns), 0, 0, NULL, "{}",
	 "preprocessing by column: standardize, min_max, log1p, none, one_hot, code or {\"embedding\": n}"},
	{"split", OPT_SPLIT, AT(split), 0, 0, NULL,
	 "{\"by\": \"user_tail\", \"validation\": 0.1, \"test\": 0.1, \"tail\": 0.5, \"seed\": 0}",
	 "which rows are held out: by user_tail, user, time or column"},
	{"seed", OPT_INT64, AT(seed), -9007199254740992.0, 9007199254740992.0, NULL, "0",
	 "of initial weights, order and dropout"},
	{"init", OPT_NAME, AT(init), 0, 0, init_name, "\"keras\"", "initial weights"},
	{"workers", OPT_INT, AT(workers), 1, SL_MAX_TEAM, NULL, "null",
	 "processes that compute a step, with the same result; default by its size and the processors, up to sessionlen.max_workers"},
	{"warm_start", OPT_BOOL, AT(warm_start), 0, 0, NULL, "false",
	 "start from the version that serves: its weights, codes, scales and optimiser state"},
	{"verbose", OPT_BOOL, AT(verbose), 0, 0, NULL, "true", "report progress by NOTICE"},
	{"search", OPT_SEARCH, 0, 0, 0, NULL, "{}",
	 "arrays of values by option: a version for each combination, the best kept"},
};

#define OPTION_COUNT ((int) lengthof(option_table))
#define FIELD(type, options, option) ((type *) ((char *) (options) + (option)->offset))

static char *
valid_keys(void)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < OPTION_COUNT; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", option_table[i].key);
	return list.data;
}

static char *
valid_names(const Option *option)
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

static void
read_name(SlOptions *options, const Option *option, const JsonbValue *value)
{
	char *given;

	if (value->type != jbvString)
		sl_option_wrong_type(option->key, "a string", value);
	given = sl_json_cstring(value);
	for (int i = 0; option->name(i) != NULL; i++)
		if (strcmp(option->name(i), given) == 0)
		{
			*FIELD(int, options, option) = i;
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", given, option->key),
			 errhint("Valid values are: %s.", valid_names(option))));
}

/* Numbers of an array (or one bare number) into out[max_count]; returns how many. */
static int
read_numbers(const Option *option, const JsonbValue *value, double *out, int max_count,
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
read_hidden(SlOptions *options, const Option *option, const JsonbValue *value)
{
	double width[SL_MAX_LAYERS];

	options->layers = read_numbers(option, value, width, SL_MAX_LAYERS, true);
	for (int i = 0; i < options->layers; i++)
		options->hidden[i] = (int) width[i];
}

static void
read_levels(SlOptions *options, const Option *option, const JsonbValue *value)
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
read_option(SlOptions *options, const Option *option, const JsonbValue *value)
{
	switch (option->kind)
	{
		case OPT_INT:
			*FIELD(int, options, option) = (int) sl_option_number(
				option->key, value, option->min, option->max, true);
			break;
		case OPT_INT64:
			*FIELD(int64, options, option) = (int64) sl_option_number(
				option->key, value, option->min, option->max, true);
			break;
		case OPT_REAL:
			*FIELD(double, options, option) =
				sl_option_number(option->key, value, option->min, option->max, false);
			break;
		case OPT_BOOL:
			if (value->type != jbvBool)
				sl_option_wrong_type(option->key, "true or false", value);
			*FIELD(bool, options, option) = value->val.boolean;
			break;
		case OPT_NAME:
			read_name(options, option, value);
			break;
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
	}
}

static const Option *
find_option(const char *key)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (strcmp(option_table[i].key, key) == 0)
			return &option_table[i];
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized option \"%s\"", key),
					errhint("Valid options are: %s.", valid_keys())));
}

static void
read_all(SlOptions *options, Jsonb *given)
{
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object"),
						errhint("For example '{\"epochs\": 50}'.")));
	JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) == WJB_KEY)
	{
		const Option *option = find_option(sl_json_cstring(&value));

		JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull) /* null asks for the default */
			read_option(options, option, &value);
	}
}

bool
sl_option_is_searchable(const char *key)
{
	const Option *option = find_option(key);

	return option->kind != OPT_SEARCH && option->kind != OPT_SPLIT &&
		   option->kind != OPT_COLUMNS && option->kind != OPT_BY_CLUSTER &&
		   strcmp(key, "min_users") != 0 && strcmp(key, "mixed_threshold") != 0 &&
		   strcmp(key, "warm_start") != 0 && strcmp(key, "min_count") != 0 &&
		   strcmp(key, "standardize") != 0 && strcmp(key, "target_transform") != 0 &&
		   strcmp(key, "upper_percentile") != 0 && strcmp(key, "verbose") != 0 &&
		   strcmp(key, "workers") != 0;
}

static bool
given_option(Jsonb *given, Jsonb *over, const char *key)
{
	return (given != NULL && sl_json_get(&given->root, key) != NULL) ||
		   (over != NULL && sl_json_get(&over->root, key) != NULL);
}

bool
sl_loss_is_scaled(int loss)
{
	return loss == SL_LOSS_MAPE || loss == SL_LOSS_WEIBULL;
}

/* Fills in what depends on other options and refuses what does not go together. */
static void
settle(SlOptions *options, Jsonb *given, Jsonb *over)
{
	bool scaled;

	if (!given_option(given, over, "learning_rate"))
		options->learning_rate = sl_optim_default_rate(options->optimizer);
	if (given_option(given, over, "quantiles") && !given_option(given, over, "loss"))
		options->loss = SL_LOSS_QUANTILE;
	scaled = sl_loss_is_scaled(options->loss);
	if (given_option(given, over, "quantiles") && options->loss != SL_LOSS_QUANTILE &&
		options->loss != SL_LOSS_WEIBULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"quantiles\" needs the loss quantile or weibull"),
						errdetail("The loss is %s.", sl_loss_name(options->loss))));
	if (!given_option(given, over, "target_transform"))
		options->target_transform =
			options->standardize && !scaled ? SL_TARGET_STANDARDIZE : SL_TARGET_NONE;
	if (scaled && options->target_transform != SL_TARGET_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("loss \"%s\" needs target_transform none",
							   sl_loss_name(options->loss)),
						errdetail("It is defined on the target's own scale.")));
	if (options->loss == SL_LOSS_BCE || options->loss == SL_LOSS_CROSS_ENTROPY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("loss \"%s\" does not fit the task regression",
						sl_loss_name(options->loss)),
				 errhint("Use mae, mse, huber, log_cosh, mape, weibull or quantile.")));
}

void
sl_options_read(SlOptions *options, Jsonb *given, Jsonb *over)
{
	memset(options, 0, sizeof(*options));
	for (int i = 0; i < OPTION_COUNT; i++)
	{
		const Option *option = &option_table[i];
		Jsonb *fallback = sl_json_parse(psprintf("{\"v\": %s}", option->fallback));
		JsonbValue *value = sl_json_get(&fallback->root, "v");

		if (value != NULL)
			read_option(options, option, value);
	}
	options->columns = NULL;
	options->by_cluster = NULL;
	if (given != NULL)
		read_all(options, given);
	if (over != NULL)
		read_all(options, over);
	settle(options, given, over);
}

void
sl_options_for_size(SlOptions *options, Jsonb *given, Jsonb *over, int users)
{
	Jsonb *chosen;

	if (!options->mixed)
		return;
	chosen =
		sl_json_parse(users <= options->mixed_threshold ? "{\"standardize\": true}"
														: "{\"standardize\": false}");
	if (over != NULL)
		chosen = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(over),
													JsonbPGetDatum(chosen)));
	sl_options_read(options, given, chosen);
}

bool
sl_options_same_target(const SlOptions *a, const SlOptions *b)
{
	return a->target_transform == b->target_transform &&
		   sl_loss_is_scaled(a->loss) == sl_loss_is_scaled(b->loss);
}

static void
put_object(StringInfo out, Jsonb *object)
{
	if (object == NULL)
		appendStringInfoString(out, "{}");
	else
		JsonbToCString(out, &object->root, VARSIZE(object));
}

char *
sl_options_text(const SlOptions *options)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (int i = 0; i < OPTION_COUNT; i++)
	{
		const Option *option = &option_table[i];

		switch (option->kind)
		{
			case OPT_INT:
				if (*FIELD(const int, options, option) < option->min) /* not given */
				{
					sl_json_put_key(&out, option->key);
					appendStringInfoString(&out, "null");
				}
				else
					sl_json_put_double(&out, option->key,
									   *FIELD(const int, options, option));
				break;
			case OPT_INT64:
				sl_json_put_double(&out, option->key,
								   *FIELD(const int64, options, option));
				break;
			case OPT_REAL:
				sl_json_put_double(&out, option->key,
								   *FIELD(const double, options, option));
				break;
			case OPT_BOOL:
				sl_json_put_bool(&out, option->key, *FIELD(const bool, options, option));
				break;
			case OPT_NAME:
				sl_json_put_string(&out, option->key,
								   option->name(*FIELD(const int, options, option)));
				break;
			case OPT_HIDDEN:
				sl_json_put_key(&out, option->key);
				for (int j = 0; j < options->layers; j++)
					appendStringInfo(&out, "%s%d", j ? ", " : "[", options->hidden[j]);
				appendStringInfoChar(&out, ']');
				break;
			case OPT_LEVELS:
				if (options->loss != SL_LOSS_QUANTILE && options->loss != SL_LOSS_WEIBULL)
					break;
				sl_json_put_key(&out, option->key);
				for (int j = 0; j < options->quantiles; j++)
					appendStringInfo(&out, "%s%.15g", j ? ", " : "[",
									 options->quantile[j]);
				appendStringInfoChar(&out, ']');
				break;
			case OPT_STANDARDIZE:
				sl_json_put_bool(&out, option->key, options->standardize);
				break;
			case OPT_COLUMNS:
			case OPT_BY_CLUSTER:
				sl_json_put_key(&out, option->key);
				put_object(&out, *FIELD(Jsonb *const, options, option));
				break;
			case OPT_SPLIT:
				sl_json_put_key(&out, option->key);
				appendStringInfoString(&out, sl_split_text(&options->split));
				break;
			case OPT_SEARCH:
				break;
		}
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* options(): the table as rows, for people and for the documentation. */
Datum
sl_options_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < OPTION_COUNT; i++)
	{
		static const char *const kinds[] = {
			"integer",			"integer", "number",		   "boolean",
			"boolean or mixed", "name",	   "integer or array", "array",
			"object",			"object",  "object",		   "object"};
		const Option *option = &option_table[i];
		Datum values[5];
		bool nulls[5] = {false};
		char *valid = NULL;

		if (option->kind == OPT_NAME)
			valid = valid_names(option);
		else if (option->max > option->min)
			valid = psprintf("%.16g to %.16g", option->min, option->max);
		values[0] = CStringGetTextDatum(option->key);
		values[1] = CStringGetTextDatum(kinds[option->kind]);
		values[2] = CStringGetTextDatum(option->fallback);
		values[3] = valid ? CStringGetTextDatum(valid) : (Datum) 0;
		nulls[3] = valid == NULL;
		values[4] = CStringGetTextDatum(option->meaning);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}
