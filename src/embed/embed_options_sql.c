/*
 * embed_options_sql.c: one table of the options of word2vec().
 */
#include "postgres.h"

#include "embed/embed_sql.h"
#include "store/json.h"
#include "train/options.h"

typedef enum OptionKind
{
	OPT_INT,
	OPT_INT64,
	OPT_REAL,
	OPT_BOOL,
	OPT_METHOD
} OptionKind;

typedef struct Option
{
	const char *key;
	OptionKind kind;
	size_t offset;
	double min;
	double max;
} Option;

#define AT(field) offsetof(SlEmbedOptions, field)

static const Option option_table[] = {
	{"method", OPT_METHOD, AT(training.method), 0, 0},
	{"dim", OPT_INT, AT(training.dim), 1, 4096},
	{"window", OPT_INT, AT(training.window), 1, 100},
	{"negative", OPT_INT, AT(training.negative), 1, 100},
	{"epochs", OPT_INT, AT(training.epochs), 1, 1000000},
	{"learning_rate", OPT_REAL, AT(training.learning_rate), 1e-12, 1000},
	{"subsample", OPT_REAL, AT(training.subsample), 0, 1},
	{"noise_exponent", OPT_REAL, AT(training.noise_exponent), -10, 10},
	{"min_count", OPT_INT, AT(min_count), 1, 1073741824},
	{"seed", OPT_INT64, AT(training.seed), -9007199254740992.0, 9007199254740992.0},
	{"time_limit", OPT_REAL, AT(time_limit), 0, 1e9},
	{"verbose", OPT_BOOL, AT(verbose), 0, 0},
};

static const char *const method_names[] = {"skip_gram", "cbow"};

#define FIELD(type, options, option) (*(type *) ((char *) (options) + (option)->offset))
#define CONST_FIELD(type, options, option) \
	(*(const type *) ((const char *) (options) + (option)->offset))

static int
read_method(const Option *option, const JsonbValue *value)
{
	char *name;

	if (value->type != jbvString)
		sl_option_wrong_type(option->key, "a string", value);
	name = sl_json_cstring(value);
	for (int i = 0; i < (int) lengthof(method_names); i++)
		if (strcmp(name, method_names[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", name, option->key),
			 errhint("Valid values are: skip_gram, cbow.")));
}

static void
read_option(SlEmbedOptions *options, const Option *option, const JsonbValue *value)
{
	double number = 0;

	if (option->kind <= OPT_REAL)
		number = sl_option_number(option->key, value, option->min, option->max,
								  option->kind != OPT_REAL);
	switch (option->kind)
	{
		case OPT_INT:
			FIELD(int, options, option) = (int) number;
			break;
		case OPT_INT64:
			FIELD(int64, options, option) = (int64) number;
			break;
		case OPT_REAL:
			FIELD(double, options, option) = number;
			break;
		case OPT_BOOL:
			if (value->type != jbvBool)
				sl_option_wrong_type(option->key, "a boolean", value);
			FIELD(bool, options, option) = value->val.boolean;
			break;
		case OPT_METHOD:
			FIELD(int, options, option) = read_method(option, value);
			break;
	}
}

static const Option *
find_option(const char *key)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; i < (int) lengthof(option_table); i++)
	{
		if (strcmp(option_table[i].key, key) == 0)
			return &option_table[i];
		appendStringInfo(&valid, "%s%s", i ? ", " : "", option_table[i].key);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized option \"%s\"", key),
					errhint("Valid options are: %s.", valid.data)));
}

void
sl_embed_options_read(SlEmbedOptions *options, Jsonb *given)
{
	JsonbIterator *it;
	JsonbValue value;

	*options = (SlEmbedOptions){.training = {.method = SL_SKIP_GRAM,
											 .dim = 100,
											 .window = 10,
											 .negative = 5,
											 .epochs = 5,
											 .learning_rate = 0.025,
											 .subsample = 1e-3,
											 .noise_exponent = 0.75},
								.min_count = 5,
								.verbose = true};
	if (given == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object"),
						errhint("For example '{\"dim\": 50}'.")));
	it = JsonbIteratorInit(&given->root);
	JsonbIteratorNext(&it, &value, true);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		const Option *option = find_option(sl_json_cstring(&value));

		JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNull) /* takes its default */
			read_option(options, option, &value);
	}
}

Jsonb *
sl_embed_options_json(const SlEmbedOptions *options)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (int i = 0; i < (int) lengthof(option_table); i++)
	{
		const Option *option = &option_table[i];

		switch (option->kind)
		{
			case OPT_INT:
				sl_json_put_double(&out, option->key, CONST_FIELD(int, options, option));
				break;
			case OPT_INT64:
				sl_json_put_double(&out, option->key,
								   (double) CONST_FIELD(int64, options, option));
				break;
			case OPT_REAL:
				sl_json_put_double(&out, option->key,
								   CONST_FIELD(double, options, option));
				break;
			case OPT_BOOL:
				sl_json_put_bool(&out, option->key, CONST_FIELD(bool, options, option));
				break;
			case OPT_METHOD:
				sl_json_put_string(&out, option->key,
								   method_names[CONST_FIELD(int, options, option)]);
				break;
		}
	}
	appendStringInfoChar(&out, '}');
	return sl_json_parse(out.data);
}
