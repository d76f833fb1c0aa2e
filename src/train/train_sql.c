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
#include "train/side.h"

PG_FUNCTION_INFO_V1(sl_train_model);

/*
 * By which runs of a search are compared: the validation loss, or the MAE where the
 * losses themselves differ; training loss without validation rows.
 */
static double
score(const SlRun *run, bool by_mae)
{
	const SlEpoch *epoch = &run->result.best;
	double measured = by_mae ? epoch->validation_mae : epoch->validation_loss;

	if (!by_mae && run->prepared->part_rows[SL_VALIDATION] == 0)
		return epoch->training_loss;
	return isnan(measured) ? INFINITY : measured; /* no time was left to measure it */
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

/* Whether validation losses of the two can't be compared. */
static bool
other_loss(const SlOptions *a, const SlOptions *b)
{
	return a->loss != b->loss || a->quantiles != b->quantiles ||
		   memcmp(a->quantile, b->quantile, sizeof(a->quantile)) != 0;
}

/*
 * The options of every run, read before any of them starts: a mistake in the last one
 * should not cost the others' time.  The data is prepared once, for the first.
 */
static SlOptions *
read_combinations(const SlTrainCall *call, Jsonb *given, List *search, bool *by_mae)
{
	SlOptions *combined = palloc(sizeof(SlOptions) * list_length(search));

	*by_mae = false;
	for (int i = 0; i < list_length(search); i++)
	{
		sl_options_read(&combined[i], call->task, given, list_nth(search, i));
		if (!sl_options_same_target(&combined[i], &combined[0]))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg(
					 "a search can't go over losses that scale the target differently"),
				 errdetail("The losses mape and weibull take it as it is."),
				 errhint("Give target_transform none, or search them apart.")));
		if (!sl_options_same_sequences(&combined[i], &combined[0]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a search can't go over options that prepare the data "
							"differently"),
					 errdetail("All combinations share one preparation of the data, one "
							   "horizon and, with a horizon, one sequence_length."),
					 errhint("Give the horizon, or search them apart.")));
		*by_mae |= other_loss(&combined[i], &combined[0]);
	}
	if (*by_mae && call->task == SL_TASK_NEXT_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a search can't go over losses in task next_items"),
						errdetail("Their values can't be compared."),
						errhint("Train with each and compare the versions.")));
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

/* What all runs of a call have in common, and the best of them so far. */
typedef struct Training
{
	const SlTrainCall *call;
	const SlTrainSource *source;
	const SlModel *base;
	const SlClusters *clusters;
	Jsonb *given;
	List *search; /* NULL: without combination */
	bool by_mae;
	SlRun best;
} Training;

/* Trains those of side, with the networks of clusters where there are. */
static void
train_runs(Training *training, SlSide *side, Size limit)
{
	int count = sl_side_train(side, 0);

	for (int i = 0; i < count; i++)
	{
		SlRun *run = side->run[i];
		SlRun *best = &training->best;

		if (run->diverged)
			tell_diverged(training->search, run->number);
		else if (training->clusters)
			sl_train_clusters(run, training->clusters, training->given, training->base,
							  limit);
		if (!run->diverged && (best->version == 0 || score(run, training->by_mae) <
														 score(best, training->by_mae)))
			*best = *run;
		pfree(run->net);
		run->net = NULL;
	}
}

static void
train_all(Training *training, const SlOptions *combined, const SlPrepared *prepared,
		  int first_version, Size limit)
{
	int count = list_length(training->search);
	SlRun *runs = palloc0(sizeof(SlRun) * count);
	SlSide *side = NULL;

	for (int i = 0; i < count; i++)
	{
		Jsonb *combination = list_nth(training->search, i);

		runs[i] = (SlRun){.call = training->call,
						  .options = &combined[i],
						  .source = training->source,
						  .prepared = prepared,
						  .version = first_version + i,
						  .number = i,
						  .cluster = SL_NO_CLUSTER,
						  .base = training->base,
						  .label = psprintf("search %d/%d, ", i + 1, count),
						  .may_diverge = count > 1};
		sl_run_define(&runs[i]);
		if (side == NULL)
			side = sl_side_begin(&runs[i], count, limit);
		if (!sl_side_add(side, &runs[i]))
		{
			train_runs(training, side, limit);
			(void) sl_side_add(side, &runs[i]);
		}
		if (combination != NULL && combined->verbose)
			ereport(NOTICE, (errmsg("search %d/%d: %s", i + 1, count,
									JsonbToCString(NULL, &combination->root, -1))));
	}
	train_runs(training, side, limit);
}

Datum
sl_train_model(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	Size limit = (Size) sl_memory_limit * 1024;
	Jsonb *given =
		PG_ARGISNULL(SL_ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P(SL_ARG_OPTIONS);
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
	Training training;
	SlRun best;
	Datum row;

	sl_call_read(fcinfo, &call);
	search = sl_options_search(given);
	if (search != NIL && call.clusters)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a search can't be combined with clusters"),
			 errhint(
				 "Search without clusters first, then train with the best options.")));
	if (search == NIL)
		search = list_make1(NULL);
	combined = read_combinations(&call, given, search, &by_mae);
	options = combined[0];
	sl_call_check(&call, &options);
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
	for (int i = 0; source->items && i < list_length(search); i++)
		sl_options_for_items(&combined[i], source->items->count);
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
	training = (Training){.call = &call,
						  .source = source,
						  .base = base,
						  .clusters = clusters,
						  .given = given,
						  .search = search,
						  .by_mae = by_mae};
	train_all(&training, combined, prepared, first_version, limit);
	best = training.best;
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
