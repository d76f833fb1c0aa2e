/*
 * cluster_options_sql.c: one table of the options of cluster(), elbow() and
 * silhouette_sweep(), and the arguments they share.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "argument.h"
#include "cluster/cluster_sql.h"
#include "option.h"

static const char *
affinity_name(int i)
{
	static const char *const names[] = {
		[SL_AFFINITY_NEIGHBORS] = "nearest_neighbors", [SL_AFFINITY_RBF] = "rbf", NULL};

	return names[i];
}

#define AT(field) offsetof(SlClusterOptions, field)

static const SlOption option_table[] = {
	{"n_init", OPT_INT, AT(kmeans.n_init), .min = 1, .max = 1000000},
	{"max_iter", OPT_INT, AT(kmeans.max_iter), .min = 1, .max = 1000000},
	{"tol", OPT_REAL, AT(kmeans.tol), .min = 0, .max = 1e6},
	{"seed", OPT_INT64, AT(kmeans.seed), .min = 0, .max = 9007199254740992.0},
	{"standardize", OPT_BOOL, .offset = AT(standardize)},
	{"neighbors", OPT_INT, AT(neighbors), .min = 2, .max = 10000},
	{"affinity", OPT_NAME, AT(affinity), .name = affinity_name},
	{"gamma", OPT_REAL, AT(gamma), .min = 1e-300, .max = 1e300},
	{"silhouette_sample", OPT_INT, AT(silhouette_sample), .min = 2, .max = 1000000000},
	{.key = NULL},
};

static const char *const method_names[] = {"kmeans", "spectral"};

SlClusterMethod
sl_cluster_method_read(const char *name)
{
	for (int i = 0; i < (int) lengthof(method_names); i++)
		if (strcmp(method_names[i], name) == 0)
			return (SlClusterMethod) i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized method \"%s\"", name),
					errhint("Valid methods are: kmeans, spectral.")));
}

const char *
sl_cluster_method_name(SlClusterMethod method)
{
	return method_names[method];
}

void
sl_cluster_options_read(SlClusterOptions *options, Jsonb *given)
{
	memset(options, 0, sizeof(*options));
	*options = (SlClusterOptions){.kmeans = {.n_init = 10, .max_iter = 300, .tol = 1e-4},
								  .neighbors = 10,
								  .gamma = 1,
								  .silhouette_sample = 20000};
	if (given != NULL)
		sl_options_read_object(options, option_table, given, sl_option_read,
							   "{\"standardize\": true}");
}

Jsonb *
sl_cluster_options_json(const SlClusterOptions *options)
{
	return sl_options_json(options, option_table);
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
