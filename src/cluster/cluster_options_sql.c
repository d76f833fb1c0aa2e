/*
 * cluster_options_sql.c: one table of the options of cluster(), elbow() and
 * silhouette_sweep(), and the arguments they share.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "argument.h"
#include "cluster/cluster_sql.h"
#include "store/json.h"

typedef enum OptionKind
{
	OPT_INT,
	OPT_INT64,
	OPT_REAL,
	OPT_BOOL,
	OPT_AFFINITY
} OptionKind;

typedef struct Option
{
	const char *key;
	OptionKind kind;
	size_t offset;
	double min;
	double max;
} Option;

#define AT(field) offsetof(SlClusterOptions, field)

static const Option option_table[] = {
	{"n_init", OPT_INT, AT(kmeans.n_init), 1, 1000000},
	{"max_iter", OPT_INT, AT(kmeans.max_iter), 1, 1000000},
	{"tol", OPT_REAL, AT(kmeans.tol), 0, 1e6},
	{"seed", OPT_INT64, AT(kmeans.seed), 0, 9007199254740992.0},
	{"standardize", OPT_BOOL, AT(standardize), 0, 0},
	{"neighbors", OPT_INT, AT(neighbors), 2, 10000},
	{"affinity", OPT_AFFINITY, AT(affinity), 0, 0},
	{"gamma", OPT_REAL, AT(gamma), 1e-300, 1e300},
	{"silhouette_sample", OPT_INT, AT(silhouette_sample), 2, 1000000000},
};

static const char *const affinity_names[] = {"nearest_neighbors", "rbf"};
static const char *const method_names[] = {"kmeans", "spectral"};

#define FIELD(type, options, option) (*(type *) ((char *) (options) + (option)->offset))
#define CONST_FIELD(type, options, option) \
	(*(const type *) ((const char *) (options) + (option)->offset))

static int
find_name(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

SlClusterMethod
sl_cluster_method_read(const char *name)
{
	int method = find_name(name, method_names, lengthof(method_names));

	if (method < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized method \"%s\"", name),
						errhint("Valid methods are: kmeans, spectral.")));
	return (SlClusterMethod) method;
}

const char *
sl_cluster_method_name(SlClusterMethod method)
{
	return method_names[method];
}

static void
wrong_type(const Option *option, const JsonbValue *value)
{
	static const char *const wanted[] = {"a whole number", "a whole number", "a number",
										 "true or false", "a string"};

	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" must be %s", option->key, wanted[option->kind]),
					errdetail("It is of JSON type %s.", sl_json_type(value))));
}

static double
read_number(const Option *option, const JsonbValue *value)
{
	bool whole = option->kind != OPT_REAL;
	double number;

	if (value->type != jbvNumeric)
		wrong_type(option, value);
	number = sl_json_number(value);
	if (!(number >= option->min && number <= option->max) ||
		(whole && number != floor(number)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be %s from %.16g to %.16g", option->key,
						whole ? "a whole number" : "a number", option->min, option->max),
				 errdetail("It is %.15g.", number)));
	return number;
}

static void
read_option(SlClusterOptions *options, const Option *option, const JsonbValue *value)
{
	char *name;

	switch (option->kind)
	{
		case OPT_INT:
			FIELD(int, options, option) = (int) read_number(option, value);
			break;
		case OPT_INT64:
			FIELD(uint64, options, option) = (uint64) read_number(option, value);
			break;
		case OPT_REAL:
			FIELD(double, options, option) = read_number(option, value);
			break;
		case OPT_BOOL:
			if (value->type != jbvBool)
				wrong_type(option, value);
			FIELD(bool, options, option) = value->val.boolean;
			break;
		case OPT_AFFINITY:
			if (value->type != jbvString)
				wrong_type(option, value);
			name = sl_json_cstring(value);
			FIELD(int, options, option) =
				find_name(name, affinity_names, lengthof(affinity_names));
			if (FIELD(int, options, option) < 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("unrecognized value \"%s\" for option \"%s\"",
									   name, option->key),
								errhint("Valid values are: nearest_neighbors, rbf.")));
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
sl_cluster_options_read(SlClusterOptions *options, Jsonb *given)
{
	JsonbIterator *it;
	JsonbValue value;

	memset(options, 0, sizeof(*options));
	*options = (SlClusterOptions){.kmeans = {.n_init = 10, .max_iter = 300, .tol = 1e-4},
								  .neighbors = 10,
								  .gamma = 1,
								  .silhouette_sample = 20000};
	if (given == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object"),
						errhint("For example '{\"standardize\": true}'.")));
	it = JsonbIteratorInit(&given->root);
	JsonbIteratorNext(&it, &value, true);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		const Option *option = find_option(sl_json_cstring(&value));

		JsonbIteratorNext(&it, &value, true);
		read_option(options, option, &value);
	}
}

Jsonb *
sl_cluster_options_json(const SlClusterOptions *options)
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
								   (double) CONST_FIELD(uint64, options, option));
				break;
			case OPT_REAL:
				sl_json_put_double(&out, option->key,
								   CONST_FIELD(double, options, option));
				break;
			case OPT_BOOL:
				sl_json_put_bool(&out, option->key, CONST_FIELD(bool, options, option));
				break;
			case OPT_AFFINITY:
				sl_json_put_string(&out, option->key,
								   affinity_names[CONST_FIELD(int, options, option)]);
				break;
		}
	}
	appendStringInfoChar(&out, '}');
	return sl_json_parse(out.data);
}

char *
sl_cluster_text_arg(FunctionCallInfo fcinfo, int number, const char *name)
{
	char *value = sl_required_text(fcinfo, number, name, NULL);

	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must not be empty", name)));
	return value;
}

char **
sl_cluster_columns_arg(FunctionCallInfo fcinfo, int number, int *count)
{
	ArrayType *array;
	Datum *element;
	bool *isnull;
	char **names;

	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("columns must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(number);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &element, &isnull, count);
	if (*count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("columns must not be empty"),
						errhint("Name the columns to cluster by, as in '{a,b}'.")));
	names = palloc(sizeof(char *) * *count);
	for (int i = 0; i < *count; i++)
	{
		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("columns must not hold NULL")));
		names[i] = TextDatumGetCString(element[i]);
		for (int j = 0; j < i; j++)
			if (strcmp(names[j], names[i]) == 0)
				ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
								errmsg("column \"%s\" is named twice", names[i])));
	}
	return names;
}
