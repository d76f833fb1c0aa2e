/*
 * train_sql.c: train(): arguments, memory, progress, storing.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "sessionlen.h"
#include "store/query.h"
#include "train/run.h"

PG_FUNCTION_INFO_V1(sl_train_model);

/* ---- arguments ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* A name the parser would not cut off. */
static void
check_name(const char *value, const char *name)
{
	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must not be empty", name)));
	if (strlen(value) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("%s is too long", name),
						errdetail("Names have at most %d bytes.", NAMEDATALEN - 1)));
}

static char *
name_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	char *value = text_argument(fcinfo, number, name);

	check_name(value, name);
	return value;
}

/* Appends the columns of one role's array argument. */
static void
role_argument(FunctionCallInfo fcinfo, int number, const char *name, SlRole role,
			  SlTrainCall *call)
{
	ArrayType *array;
	Datum *element;
	bool *isnull;
	int count;

	if (PG_ARGISNULL(number))
		return;
	array = PG_GETARG_ARRAYTYPE_P(number);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &element, &isnull, &count);
	call->names = call->names
					  ? repalloc(call->names, sizeof(char *) * (call->count + count + 1))
					  : palloc(sizeof(char *) * (count + 1));
	call->roles = call->roles
					  ? repalloc(call->roles, sizeof(SlRole) * (call->count + count + 1))
					  : palloc(sizeof(SlRole) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		char *column;

		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s must not hold NULL", name)));
		column = TextDatumGetCString(element[i]);
		check_name(column, psprintf("a name in %s", name));
		for (int j = 0; j < call->count; j++)
			if (strcmp(call->names[j], column) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is named twice as an input", column)));
		call->names[call->count] = column;
		call->roles[call->count++] = role;
	}
}

/* The future must not leak: the target is known only after the row. */
static void
check_roles(const SlTrainCall *call)
{
	if (call->count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no input column"),
						errhint("Name columns in known, static or observed.")));
	for (int i = 0; i < call->count; i++)
		if (call->roles[i] != SL_ROLE_OBSERVED &&
			(strcmp(call->names[i], call->target) == 0 ||
			 (call->censored && strcmp(call->names[i], call->censored) == 0)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is not known before its row happens",
							call->names[i]),
					 errdetail("The network would read the answer."),
					 errhint("Name it in observed: it then enters one row later.")));
}

static void
read_call(FunctionCallInfo fcinfo, SlTrainCall *call)
{
	memset(call, 0, sizeof(*call));
	call->model = name_argument(fcinfo, 0, "model");
	call->source = text_argument(fcinfo, 1, "source");
	call->target = name_argument(fcinfo, 2, "target");
	call->partition_by = name_argument(fcinfo, 3, "partition_by");
	call->order_by = name_argument(fcinfo, 4, "order_by");
	role_argument(fcinfo, 5, "known", SL_ROLE_KNOWN, call);
	role_argument(fcinfo, 6, "static", SL_ROLE_STATIC, call);
	role_argument(fcinfo, 7, "observed", SL_ROLE_OBSERVED, call);
	call->censored = PG_ARGISNULL(8) ? NULL : name_argument(fcinfo, 8, "censored");
	call->task =
		PG_ARGISNULL(9) ? pstrdup("regression") : text_argument(fcinfo, 9, "task");
	call->clusters = PG_ARGISNULL(10) ? NULL : text_argument(fcinfo, 10, "clusters");
	if (strcmp(call->task, "regression") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized task \"%s\"", call->task),
						errhint("Valid tasks are: regression.")));
	check_roles(call);
}

/*
 * By which runs of a search are compared: the validation loss, or the MAE where the
 * losses themselves differ; training loss without validation rows.
 */
static double
score(const SlTrainResult *result, bool by_mae)
{
	if (by_mae)
		return result->best.validation_mae;
	return isnan(result->best.validation_loss) ? result->best.training_loss
											   : result->best.validation_loss;
}

static Datum
result_row(FunctionCallInfo fcinfo, const SlRun *run)
{
	TupleDesc desc;
	const SlTrainResult *result = &run->result;
	Datum values[10] = {
		CStringGetTextDatum(run->call->model),
		Int32GetDatum(run->version),
		Int32GetDatum(result->epochs),
		Float8GetDatum(result->best.training_loss),
		Float8GetDatum(result->best.validation_loss),
		Float8GetDatum(result->best.validation_mae),
		Float8GetDatum(result->seconds),
		Float8GetDatum(result->rows / Max(result->seconds, 1e-9)),
		BoolGetDatum(true),
		BoolGetDatum(result->out_of_time),
	};
	bool nulls[10] = {false};

	nulls[4] = isnan(result->best.validation_loss);
	nulls[5] = isnan(result->best.validation_mae);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "train() must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * The options of every run, read before any of them starts: a mistake in the last one
 * should not cost the others' time.  The data is prepared once, for options.
 */
static SlOptions *
read_combinations(const SlOptions *options, Jsonb *given, List *search, bool *by_mae)
{
	SlOptions *combined = palloc(sizeof(SlOptions) * list_length(search));

	*by_mae = false;
	for (int i = 0; i < list_length(search); i++)
	{
		sl_options_read(&combined[i], given, list_nth(search, i));
		if (!sl_options_same_target(&combined[i], options))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg(
					 "a search can't go over losses that scale the target differently"),
				 errdetail("The losses mape and weibull take it as it is."),
				 errhint("Give target_transform none, or search them apart.")));
		*by_mae |= combined[i].loss != combined[0].loss ||
				   combined[i].quantiles != combined[0].quantiles ||
				   memcmp(combined[i].quantile, combined[0].quantile,
						  sizeof(combined[0].quantile)) != 0;
	}
	return combined;
}

/* One combination that goes wrong should not cost the others' time. */
static void
tell_diverged(List *search, int i)
{
	Jsonb *combination = list_nth(search, i);

	ereport(WARNING,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("search %d/%d diverged: %s", i + 1, list_length(search),
					JsonbToCString(NULL, &combination->root, -1)),
			 errdetail("The loss or its gradient is not finite; no version is kept.")));
}

Datum
sl_train_model(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	Size limit = (Size) sl_memory_limit * 1024;
	Jsonb *given = PG_ARGISNULL(11) ? NULL : PG_GETARG_JSONB_P(11);
	SlTrainCall call;
	SlOptions options;
	SlOptions *combined;
	bool by_mae;
	SlModel *base = NULL;
	SlTrainSource *source;
	SlPrepared *prepared;
	SlClusters *clusters = NULL;
	List *search;
	int first_version;
	SlRun best = {0};
	Datum row;

	read_call(fcinfo, &call);
	sl_options_read(&options, given, NULL);
	search = sl_options_search(given);
	if (search != NIL && call.clusters)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a search can't be combined with clusters"),
			 errhint(
				 "Search without clusters first, then train with the best options.")));
	if (options.mixed && call.clusters == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("standardize \"mixed\" needs clusters"),
				 errhint("Name a clustering made by sessionlen.cluster() in clusters.")));
	if (search == NIL)
		search = list_make1(NULL);
	combined = read_combinations(&options, given, search, &by_mae);
	SPI_connect();
	(void) sl_store_blas(); /* a missing library is known before the work */
	first_version = sl_store_begin(call.model);
	if (options.warm_start && first_version == 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("warm_start needs a version of model \"%s\" that serves",
							   call.model),
						errhint("Train it without warm_start first.")));
	if (options.warm_start)
		base = sl_store_load(call.model, 0);
	source = sl_source_read(&call, &options, base, limit);
	if (call.clusters)
	{
		clusters = sl_clusters_read(&call, source->rows, &combined[0], given);
		sl_options_for_size(&combined[0], given, NULL,
							sl_training_users(source->rows, NULL));
	}
	prepared = sl_prepare(&call, source, source->rows, &combined[0], base, limit);
	if (call.clusters == NULL)
		sl_rows_free_columns(source->rows, call.count);
	if (by_mae && prepared->part_rows[SL_VALIDATION] == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("a search over losses needs validation rows"),
			 errdetail("Versions of different losses are compared by validation MAE."),
			 errhint("Raise split.validation.")));
	for (int i = 0; i < list_length(search); i++)
	{
		MemoryContext context = AllocSetContextCreate(
			CurrentMemoryContext, "sessionlen training", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		SlRun run = {.call = &call,
					 .options = &combined[i],
					 .source = source,
					 .prepared = prepared,
					 .cluster = SL_NO_CLUSTER,
					 .may_diverge = list_length(search) > 1};

		if (list_nth(search, i) != NULL && options.verbose)
			ereport(NOTICE,
					(errmsg("search %d/%d: %s", i + 1, list_length(search),
							JsonbToCString(NULL, &((Jsonb *) list_nth(search, i))->root,
										   -1))));
		run.version = first_version + i;
		sl_run(&run, base, limit);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		if (run.diverged)
		{
			tell_diverged(search, i);
			continue;
		}
		if (call.clusters)
			sl_train_clusters(&run, clusters, given, base, limit);
		if (best.version == 0 || score(&run.result, by_mae) < score(&best.result, by_mae))
			best = run;
	}
	if (best.version == 0)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("all %d combinations of the search diverged",
							   list_length(search)),
						errhint("Lower learning_rate, set clip_norm, or standardize the "
								"columns.")));
	sl_store_deploy(call.model, best.version);
	MemoryContextSwitchTo(outer);
	row = result_row(fcinfo, &best);
	SPI_finish();
	return row;
}
